//go:build !race

package server_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/notify"
	"stint.dev/stint/internal/server"
	accessapi "stint.dev/stint/internal/server/access"
)

// cost is what some work took.
type cost struct {
	memory int64         // allocated in all
	cpu    time.Duration // of the whole process
}

func measure(t *testing.T, f func()) cost {
	t.Helper()
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	from := cpu()
	f()
	took := cpu() - from
	runtime.ReadMemStats(&after)
	return cost{int64(after.TotalAlloc - before.TotalAlloc), took}
}

// yardstick is the work that no request may exceed: some 100 ms on a machine of our days, of
// the same kind as what it is compared with.
func yardstick(t *testing.T) time.Duration {
	t.Helper()
	document := []byte("[" + strings.TrimSuffix(strings.Repeat(`{"key":"value","n":123456},`, hostileBody/27), ",") + "]")
	return measure(t, func() {
		for range 100 {
			var v any
			if err := json.Unmarshal(document, &v); err != nil {
				t.Fatal(err)
			}
		}
	}).cpu
}

// hostileServer is a server and what is there, by the names of the table's paths.
type hostileServer struct {
	*live
	token   string
	is      map[string]string
	query   map[string][]string // names of query parameters by method and pattern
	most    time.Duration       // the yardstick
	worst   cost
	pending []attempt
}

func newHostileServer(t *testing.T) *hostileServer {
	l := start(t, server.Config{
		RequireToken: true, Notifier: notify.New(notify.Config{}), PublicURL: "http://stint.example",
		OIDC: accessapi.OIDC{Issuer: newIdentityProvider(t).URL, ClientID: "stint", Grants: []string{"@example.org=read"}},
	})
	h := &hostileServer{live: l, token: l.mint(access.Admin, time.Time{}, time.Now()), query: map[string][]string{}}
	s := newSketch(t, "nightly", nil).command().output(strings.Repeat("a line of the log\n", hostileLines)).finish(1)
	l.do("POST", journalPath(s.id, 1, 0), s.bytes(), "Authorization", "Bearer "+h.token).ok(t, nil)
	h.is = map[string]string{"{run}": s.id, "{attempt}": "1", "{job}": "nightly", "{name}": "team", "{id}": "none"}
	var spec struct {
		Paths map[string]map[string]struct{ Parameters []struct{ Name, In string } }
	}
	l.get("/api/openapi.json").ok(t, &spec)
	for pattern, methods := range spec.Paths {
		for method, op := range methods {
			for _, p := range op.Parameters {
				if p.In == "query" {
					key := strings.ToUpper(method) + " " + pattern
					h.query[key] = append(h.query[key], p.Name)
				}
			}
		}
	}
	h.most = yardstick(t)
	return h
}

// request makes a request of a route. A part of the path that is not in parts is one that is there.
func (h *hostileServer) request(rt server.RouteRow, parts map[string]string, query, body string, headers ...string) *http.Request {
	words := strings.Split(rt.Pattern, "/")
	for i, w := range words {
		if to, ok := parts[w]; ok {
			words[i] = url.PathEscape(to)
		} else if to, ok := h.is[w]; ok {
			words[i] = to
		}
	}
	r := httptest.NewRequest(rt.Method, "/", strings.NewReader(body))
	r.URL = &url.URL{RawQuery: query}
	r.URL.RawPath = strings.Join(words, "/")
	r.URL.Path, _ = url.PathUnescape(r.URL.RawPath)
	r.RequestURI = r.URL.RequestURI()
	r.Header.Set("Authorization", "Bearer "+h.token)
	if rt.Takes != "" {
		r.Header.Set("Content-Type", rt.Takes)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// serveAll measures what requests cost together.
func (h *hostileServer) serveAll(all []attempt) cost {
	requests := make([]*http.Request, len(all))
	for i, a := range all {
		requests[i] = a.make()
		if strings.HasSuffix(a.route.Pattern, "/stream") { // which would go on
			ctx, cancel := context.WithTimeout(requests[i].Context(), 10*time.Millisecond)
			defer cancel()
			requests[i] = requests[i].WithContext(ctx)
		}
	}
	return measure(h.t, func() {
		for _, r := range requests {
			h.serve(r)
		}
	})
}

// serve answers a request.
func (h *hostileServer) serve(r *http.Request) {
	defer func() {
		if v := recover(); v != nil && v != http.ErrAbortHandler { // a stream that was cut
			panic(v)
		}
	}()
	h.srv.Handler().ServeHTTP(httptest.NewRecorder(), r)
}

const (
	// cpuTries is how often a request may take too long before it counts, and memoryTries how often it may
	// allocate too much.
	cpuTries    = 3
	memoryTries = 3
	// hostileLines is how many lines the log has that requests are about.
	hostileLines = 10
)

// attempt is a request that is to be measured.
type attempt struct {
	route server.RouteRow
	own   cost // of a plain request
	name  string
	make  func() *http.Request
}

// within reports whether a cost is what one request may have.
func (h *hostileServer) within(own, got cost) bool {
	return got.memory <= own.memory+hostileMemory && got.cpu <= h.most
}

// check measures a request, together with others: when all of them cost no more than one may,
// each does.
func (h *hostileServer) check(rt server.RouteRow, own cost, name string, r func() *http.Request) {
	h.t.Helper()
	if h.pending = append(h.pending, attempt{rt, own, name, r}); len(h.pending) == 16 {
		h.flush()
	}
}

// flush measures the requests that wait.
func (h *hostileServer) flush() {
	h.t.Helper()
	all, own := h.pending, cost{memory: math.MaxInt64}
	h.pending = nil
	var sum cost
	for _, a := range all {
		own.memory = min(own.memory, a.own.memory)
	}
	sum = h.serveAll(all)
	if len(all) == 0 || h.within(own, sum) {
		return
	}
	for _, a := range all {
		h.checkOne(a)
	}
}

// checkOne fails the test when a request costs too much. What others do at the same time counts
// too, so it counts only when it does so again and again.
func (h *hostileServer) checkOne(a attempt) {
	h.t.Helper()
	var got cost
	for slow, large := 0, 0; slow < cpuTries && large < memoryTries; {
		if got = h.serveAll([]attempt{a}); h.within(a.own, got) {
			break
		}
		if got.cpu <= h.most {
			large++
			continue
		}
		slow++
		h.most = max(h.most, yardstick(h.t))
	}
	h.worst = cost{max(h.worst.memory, got.memory), max(h.worst.cpu, got.cpu)}
	if !h.within(a.own, got) {
		h.t.Fatalf("%.80q: %d KiB and %s of CPU; a plain one %d KiB, and at most %s", a.name, got.memory>>10, got.cpu, a.own.memory>>10, h.most)
	}
}

// Whatever a request of at most 64 KiB says, it costs no more memory than eight times as much,
// and no more CPU than 100 ms. The table is the server's own: a route that is new is tried with
// all of this, and needs bodies here if it takes another kind of them.
func TestCostOfHostileRequests(t *testing.T) {
	h := newHostileServer(t)
	rows := server.RouteList(h.srv)
	slices.SortStableFunc(rows, func(a, b server.RouteRow) int { // what deletes comes last
		return strings.Compare(map[bool]string{true: "z"}[a.Method == "DELETE"], map[bool]string{true: "z"}[b.Method == "DELETE"])
	})
	for _, rt := range rows {
		key := rt.Method + " " + rt.Pattern
		t.Run(strings.ReplaceAll(key, "/", " "), func(t *testing.T) {
			h.t = t
			own := cost{memory: math.MaxInt64}
			for range memoryTries {
				one := h.serveAll([]attempt{{route: rt, make: func() *http.Request { return h.request(rt, nil, "", "") }}})
				own.memory = min(own.memory, one.memory)
			}
			for name, body := range hostileBodies(t, rt) {
				h.check(rt, own, "body: "+name, func() *http.Request { return h.request(rt, nil, "offset=0", body) })
			}
			h.hostileHeads(rt, own)
			h.flush()
			t.Logf("the worst of those measured alone: %d KiB, %s of CPU; a plain one %d KiB", h.worst.memory>>10, h.worst.cpu, own.memory>>10)
			h.worst = cost{}
		})
	}
}

// expressionMemory is what the programs of a regular expression may take besides.
const expressionMemory = 512 << 10

var hostileHeaders = []string{
	"Authorization", "Cookie", "Accept", "Accept-Encoding", "Accept-Language", "Content-Type", "Content-Encoding", "If-None-Match", "If-Modified-Since", "If-Range",
	"Range", "Origin", "Sec-Fetch-Site", "X-Stint-CSRF", "Last-Event-ID", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via", "Prefer", "User-Agent",
}

// guardHeaders are those that handlers do not look at.
var guardHeaders = []string{"Authorization", "Cookie", "Origin", "Sec-Fetch-Site", "X-Stint-CSRF", "Forwarded", "X-Forwarded-For", "X-Forwarded-Proto", "X-Real-IP", "Via", "User-Agent"}

// hostileHeads tries headers, queries and paths.
func (h *hostileServer) hostileHeads(rt server.RouteRow, own cost) {
	for name, text := range hostileTexts(hostileHead) {
		for _, header := range hostileHeaders {
			if slices.Contains(guardHeaders, header) && rt.Scope != access.Public && rt.Pattern != "/api/v1/runs" {
				continue // read before any handler, in the same way for all
			}
			values := []string{text}
			switch header {
			case "Authorization":
				values = append(values, "Bearer "+text, "Basic "+text)
			case "Cookie":
				values = append(values, "stint_session="+text, "stint_login="+text)
			case "Range":
				values = append(values, "bytes="+text)
			}
			for _, v := range values {
				if strings.ContainsAny(v, "\x00\n") {
					continue // net/http refuses it
				}
				h.check(rt, own, header+": "+name, func() *http.Request { return h.request(rt, nil, "", "", header, v) })
			}
		}
		h.check(rt, own, "query: "+name, func() *http.Request { return h.request(rt, nil, text, "") })
		for _, param := range h.query[rt.Method+" "+rt.Pattern] {
			for _, more := range []string{"", "&regex=true", "&case=true&regex=true"} {
				if more != "" && (param != "q" || !strings.Contains(rt.Pattern, "search")) {
					continue
				}
				long := url.Values{param: {text}}.Encode() + more
				short := url.Values{param: {text[:min(len(text), 900)]}}.Encode() + more // within the bounds of many
				h.check(rt, own, "query: "+param+"="+name, func() *http.Request { return h.request(rt, nil, long, "") })
				h.check(rt, own, "short query: "+param+"="+name, func() *http.Request { return h.request(rt, nil, short, "") })
			}
		}
		for _, part := range []string{"{run}", "{attempt}", "{job}", "{name}", "{id}"} {
			if text != "" && strings.Contains(rt.Pattern, part) {
				h.check(rt, own, "path: "+part+"="+name, func() *http.Request { return h.request(rt, map[string]string{part: text}, "", "") })
			}
		}
	}
	if slices.Contains(h.query[rt.Method+" "+rt.Pattern], "regex") {
		for _, text := range hostileExpressions {
			for _, more := range []string{"", "&case=true"} {
				query := url.Values{"q": {text}, "regex": {"true"}}.Encode() + more
				h.check(rt, cost{memory: own.memory + expressionMemory}, "expression: "+text, func() *http.Request { return h.request(rt, nil, query, "") })
			}
		}
	}
	for name, query := range map[string]string{
		"many parameters": manyParameters("p%d=1&"), "many of one": strings.Repeat("q=1&", hostileHead/4), "many labels": strings.Repeat("label=a%3Db&", hostileHead/12),
		"many states": strings.Repeat("state=failed&", hostileHead/13), "states in one": "state=" + strings.Repeat("failed,", hostileHead/7),
	} {
		h.check(rt, own, "query: "+name, func() *http.Request { return h.request(rt, nil, query, "") })
	}
}

// hostileExpressions are regular expressions within the bound of their length that are large
// when they are written out, or have large classes.
var hostileExpressions = []string{
	strings.Repeat("a{1000}", 140), strings.Repeat(".{1000}", 140), strings.Repeat("[a-z]{1000}", 90), "(?:" + strings.Repeat("a", 980) + "){1000}", "(?:" + strings.Repeat(".", 980) + "){1000}",
	strings.Repeat("((a{10}){10}){10}", 58), strings.Repeat("(?:(?:x{0,30}){0,30})", 47), strings.Repeat("(?:x?){1000}", 80), strings.Repeat("(x*)*", 200), strings.Repeat("(", 490) + strings.Repeat(")", 490),
	strings.Repeat("(", 490) + "a" + strings.Repeat(")*", 245), strings.Repeat(`[\x00-\x{10FFFE}]`, 50), strings.Repeat(`[\x00-\x{10FFFE}]`, 49) + "{1000}", strings.Repeat(`\pL`, 330), strings.Repeat(`[^\pL]`, 160),
	strings.Repeat(`[\pL\pN]`, 110), `[` + strings.Repeat(`\pL`, 330) + `]`, `[` + strings.Repeat(`\x00-\x{10FFFE}`, 60) + `]`, strings.Repeat("[^a]", 250), strings.Repeat("(?i)k", 200), strings.Repeat("[[:word:]]", 100),
	strings.Repeat("a|", 499), strings.Repeat("a|b", 330), strings.Repeat("(?:a|b)?", 120), strings.Repeat(`\b`, 490), strings.Repeat("^", 990), strings.Repeat("$", 990), strings.Repeat("(?s).*", 160), strings.Repeat("(.*)", 240), strings.Repeat(`\p{Greek}|`, 90),
	strings.Repeat("(?i:", 200) + strings.Repeat(")", 190), strings.Repeat("(?P<n>", 100), strings.Repeat("[", 990), strings.Repeat("é", 490), strings.Repeat("K", 330), strings.Repeat("(a|ab|abc|abcd)", 60), strings.Repeat("(?:a{1,30}){1,30}", 50),
	// And within the bounds.
	"a{1000}", ".{1500}", ".{1000}", "(?:a?){300}", "(?:ab?c){200}", strings.Repeat("(x*)*", 14), strings.Repeat("(", 14) + "a" + strings.Repeat(")", 14), strings.Repeat("(.*)", 14), strings.Repeat(`\pL`, 5),
	`[` + strings.Repeat(`\pL`, 5) + `]`, strings.Repeat("(?:a|b|c)?", 14) + "b", `\pL{1000}`, strings.Repeat("[^a]", 150), strings.Repeat(`(?:\w+\s*)?`, 14), strings.Repeat("^", 600), strings.Repeat("$", 600),
	strings.Repeat(".", 600), strings.Repeat("a|", 299), strings.Repeat("K", 199),
}

func manyParameters(form string) string {
	var b strings.Builder
	for i := 0; b.Len() < hostileHead; i++ {
		fmt.Fprintf(&b, form, i)
	}
	return b.String()
}
