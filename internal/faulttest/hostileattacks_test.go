package faulttest

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// attack is one way to use up a server, made by some workers again and again.
type attack struct {
	name    string
	workers int
	pause   time.Duration // between two of one worker
	once    func(ctx context.Context, h *hostile, r attackRound)
}

// attackRound says which worker makes an attack, and how often it has made it.
type attackRound struct {
	attack    string
	worker, n int
}

// attacks are those that were found, and their neighbours. No two at once on one machine
// need more of its cores than they leave to the server: who attacks runs at the lowest
// priority.
var attacks = []attack{
	{name: "worst records", workers: 4, once: worstRecords},
	{name: "large output", workers: 4, pause: 2 * time.Second, once: largeOutput},
	{name: "small appends", workers: 128, once: smallAppends},
	{name: "wrong offsets", workers: 4, once: wrongOffsets},
	{name: "slow bodies", workers: 200, once: slowBodies},
	{name: "slow headers", workers: 500, once: slowHeaders},
	{name: "idle connections", workers: 1500, once: idleConnections},
	{name: "new jobs", workers: 8, once: newJobs},
	{name: "runs that fail", workers: 8, once: runsThatFail},
	{name: "heartbeats", workers: 64, once: heartbeats},
	{name: "runs that fall silent", workers: 4, pause: time.Second, once: fallSilent},
	{name: "runs that nobody began", workers: 16, once: unknownRuns},
	{name: "plain pings", workers: 8, once: plainPings},
	{name: "deep policies", workers: 8, once: deepPolicies},
	{name: "searches not read", workers: 16, once: searchesNotRead},
	{name: "slow patterns", workers: 8, once: slowPatterns},
	{name: "streams not read", workers: 1000, once: streamsNotRead},
	{name: "logs not read", workers: 200, once: logsNotRead},
	{name: "lists", workers: 16, once: lists},
	{name: "wrong tokens", workers: 32, once: wrongTokens},
	{name: "broken JSON", workers: 16, once: brokenJSON},
}

func worstRecords(ctx context.Context, h *hostile, r attackRound) {
	all := worstBodies()
	run := newRun()
	b := all[(r.worker+r.n)%len(all)]
	h.append(ctx, r.attack, run, 0, b.body(run), true)
}

// largeOutput is what a job may print, faster than any disk.
func largeOutput(ctx context.Context, h *hostile, r attackRound) {
	run := newRun()
	data := beginning(run, "large", nil)
	for piece := output(0, noise(250_000)); len(data)+len(piece) <= mostAppend; {
		data = append(data, piece...)
	}
	h.append(ctx, r.attack, run, 0, data, false)
}

func smallAppends(ctx context.Context, h *hostile, r attackRound) {
	run := newRun()
	data := beginning(run, "small", nil)
	for offset := 0; ctx.Err() == nil && offset < 20_000; {
		if h.append(ctx, r.attack, run, offset, data, false) != http.StatusOK {
			return
		}
		offset, data = offset+len(data), output(0, "line\n")
	}
}

func wrongOffsets(ctx context.Context, h *hostile, r attackRound) {
	h.append(ctx, r.attack, *h.log.Load(), r.n+1, make([]byte, mostAppend), true)
	h.append(ctx, r.attack, newRun(), 0, nil, false)
	h.append(ctx, r.attack, newRun(), r.n+1, make([]byte, mostAppend), r.n%2 == 0)
}

func slowBodies(ctx context.Context, h *hostile, r attackRound) {
	path := "/api/v1/runs/" + newRun() + "/attempts/1/journal?offset=0"
	switch r.worker % 4 {
	case 0: // the head of a frame that needs a large window, and nothing behind it
		h.hold(ctx, r.attack, h.head("POST", path, h.agent, "Content-Encoding: zstd\r\nContent-Length: 8000000\r\n")+"\x28\xb5\x2f\xfd\x00\x68", "\x00")
	case 1:
		h.hold(ctx, r.attack, h.head("POST", path, h.agent, "Content-Length: 8000000\r\n")+"S", "T")
	case 2:
		h.hold(ctx, r.attack, h.head("POST", path, h.agent, "Content-Length: 8000000\r\n")+strings.Repeat("S", 4<<20), strings.Repeat("S", 1<<10))
	default:
		h.hold(ctx, r.attack, h.head("POST", path, h.agent, "Content-Length: 1024\r\n")+"S", "T")
	}
}

func slowHeaders(ctx context.Context, h *hostile, r attackRound) {
	h.hold(ctx, r.attack, "GET /healthz HTTP/1.1\r\nHost: stint\r\nX: "+strings.Repeat("a", 15_000), "a")
}

func idleConnections(ctx context.Context, h *hostile, r attackRound) {
	switch r.worker % 3 {
	case 0:
		h.hold(ctx, r.attack, "", "")
	case 1:
		h.hold(ctx, r.attack, h.head("GET", "/healthz", "", ""), "")
	default:
		h.hold(ctx, r.attack, h.head("GET", "/api/v1/runs?limit=1", h.read, ""), "")
	}
}

func newJobs(ctx context.Context, h *hostile, r attackRound) {
	run := newRun()
	name := "new-" + noise(8) + strings.Repeat("x", 150)
	h.append(ctx, r.attack, run, 0, append(beginning(run, name, manyLabels()), failed()...), false)
}

func runsThatFail(ctx context.Context, h *hostile, r attackRound) {
	run := newRun()
	h.append(ctx, r.attack, run, 0, append(beginning(run, "fails", manyLabels()), failed()...), false)
}

// heartbeats are as many as the server answers, some of them with extreme figures.
func heartbeats(ctx context.Context, h *hostile, r attackRound) {
	run := newRun()
	if h.append(ctx, r.attack, run, 0, beginning(run, "beats", nil), false) != http.StatusOK {
		return
	}
	for n := 0; ctx.Err() == nil && n < 500; n++ {
		h.beat(ctx, r.attack, run, []string{
			`{"sequence":1,"output_age_ms":5,"period_ms":1000,"processes":3}`,
			`{"period_ms":-9223372036854775808,"cpu_seconds":1e306,"memory_bytes":9223372036854775807,"waiting_ms":9223372036854775807}`,
			`{"period_ms":300000,"memory_bytes":-1,"processes":-5,"output_age_ms":-9}`,
			`{"x":` + strings.Repeat("[", 9000) + strings.Repeat("]", 9000) + "}",
			`{"period_ms":1,"period_ms":300000}`,
		}[n%5])
	}
}

// fallSilent begins runs on connections that are held, and closes all of these at once.
func fallSilent(ctx context.Context, h *hostile, r attackRound) {
	t := &http.Transport{DisableCompression: true}
	own := &hostile{server: h.server, agent: h.agent, http: &http.Client{Timeout: time.Minute, Transport: t}, answers: map[string]map[string]int{}}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			run := newRun()
			own.append(ctx, r.attack, run, 0, beginning(run, "silent", nil), false)
			own.beat(ctx, r.attack, run, `{"sequence":1,"period_ms":1000}`)
			own.beat(ctx, r.attack, run, `{"sequence":2,"period_ms":1000}`)
		})
	}
	all.Wait()
	t.CloseIdleConnections()
	for answer, n := range own.answers[r.attack] {
		for range n {
			h.note(r.attack, answer)
		}
	}
}

func unknownRuns(ctx context.Context, h *hostile, r attackRound) {
	run := newRun()
	h.beat(ctx, r.attack, run, `{"period_ms":5000}`)
	h.append(ctx, r.attack, run, 0, nil, false)
	h.append(ctx, r.attack, run, 0, []byte("STINT"), false)
}

func plainPings(ctx context.Context, h *hostile, r attackRound) {
	name := fmt.Sprintf("/compat/ping-%d-%d", r.worker, r.n%3000)
	json := func(body string) request {
		return request{method: "PUT", path: name + "/status", token: h.agent, kind: "application/json", body: []byte(body)}
	}
	h.ask(ctx, r.attack, json(`{"status":"started"}`))
	h.ask(ctx, r.attack, request{method: "PUT", path: name + "/heartbeat", token: h.agent})
	h.ask(ctx, r.attack, json(`{"status":"failed"}`))
}

func deepPolicies(ctx context.Context, h *hostile, r attackRound) {
	texts := []string{
		strings.Repeat("[", 65_000), strings.Repeat("{a: ", 15_000), strings.Repeat("- ", 30_000), "#" + strings.Repeat("x", 60_000),
		"a: &a [x,x,x,x]\nb: &b [" + strings.Repeat("*a,", 15_000) + "]\n", strings.Repeat("quiet: off\n", 5000),
	}
	h.ask(ctx, r.attack, request{method: "POST", path: "/api/v1/jobs/any/policy/test", token: h.read, kind: "application/yaml", body: []byte(texts[r.n%len(texts)])})
}

func (h *hostile) ofLog(path string) string { return "/api/v1/runs/" + *h.log.Load() + path }

func searchesNotRead(ctx context.Context, h *hostile, r attackRound) {
	h.hold(ctx, r.attack, h.head("GET", h.ofLog("/log/search?q=ab&limit=10000&before=100&after=100"), h.read, ""), "")
}

func slowPatterns(ctx context.Context, h *hostile, r attackRound) {
	q := url.Values{"q": {"(.*)(.*)(.*)(.*)(.*)(.*)[^ab]z"}, "regex": {"true"}, "limit": {"0"}}
	h.ask(ctx, r.attack, request{method: "GET", path: h.ofLog("/log/search?" + q.Encode()), token: h.read})
}

func streamsNotRead(ctx context.Context, h *hostile, r attackRound) {
	path := "/api/v1/stream"
	if r.worker%2 == 0 {
		path = h.ofLog("/stream?tail=10000")
	}
	h.hold(ctx, r.attack, h.head("GET", path, h.read, ""), "")
}

func logsNotRead(ctx context.Context, h *hostile, r attackRound) {
	more := []string{"", "Accept: application/x-ndjson\r\n", "Accept-Encoding: zstd\r\n", "Range: bytes=" + strings.Repeat("0-,", 3000) + "0-\r\n"}
	h.hold(ctx, r.attack, h.head("GET", h.ofLog("/log"), h.read, more[r.worker%len(more)]), "")
}

func lists(ctx context.Context, h *hostile, r attackRound) {
	paths := []string{
		"/api/v1/jobs?limit=500", "/api/v1/runs?limit=500", "/api/v1/runs?q=deadbeef", "/api/v1/runs/counts", "/api/v1/fleet", "/metrics",
		"/api/v1/runs?label=k1=x", "/api/v1/runs?job=worst&limit=500", "/api/v1/troubled", "/api/v1/settings", h.ofLog("/samples?points=10000"),
		h.ofLog("/events"), h.ofLog("/explain"), h.ofLog("/changes"), h.ofLog("/log?from_line=100000&lines=10000"), h.ofLog("/attempts/1/journal"),
		"/api/v1/runs/worst", "/api/v1/runs/0193", "/api/v1/jobs/worst", "/api/openapi.json",
	}
	h.ask(ctx, r.attack, request{method: "GET", path: paths[(r.worker+r.n)%len(paths)], token: h.read})
}

func wrongTokens(ctx context.Context, h *hostile, r attackRound) {
	token := "stint_" + noise(24)
	switch r.n % 4 {
	case 0:
		h.ask(ctx, r.attack, request{method: "GET", path: "/api/v1/runs", token: token})
	case 1:
		h.ask(ctx, r.attack, request{method: "POST", path: "/api/v1/login", kind: "application/json", body: fmt.Appendf(nil, `{"token":%q}`, token)})
	case 2:
		h.ask(ctx, r.attack, request{method: "POST", path: "/api/v1/runs/" + newRun() + "/attempts/1/journal?offset=0", token: token, body: make([]byte, 64<<10)})
	default:
		h.ask(ctx, r.attack, request{method: "GET", path: "/api/v1/runs"})
	}
}

func brokenJSON(ctx context.Context, h *hostile, r attackRound) {
	texts := []string{strings.Repeat("[", 60_000), strings.Repeat(`{"a":`, 10_000), `{"token":"` + strings.Repeat("a", 60_000) + `"}`, `{"token":1e308}`, "\xef\xbb\xbf{}"}
	paths := []string{"/api/v1/login", "/api/v1/tokens", "/api/v1/runs/cancel", "/api/v1/runs/" + *h.log.Load() + "/cancel"}
	h.ask(ctx, r.attack, request{method: "POST", path: paths[r.n%len(paths)], token: h.agent, kind: "application/json", body: []byte(texts[r.worker%len(texts)])})
}
