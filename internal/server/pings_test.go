package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// check is a job that is pinged, on a server that requires tokens.
type check struct {
	*live
	clock *clock
	name  string
	uuid  string
	key   string // a token of the scope ping
	admin string
	a, b  string // ids of runs
}

// onStores runs a test with a store of each engine.
func onStores(t *testing.T, do func(t *testing.T, st *store.Store)) {
	t.Run("SQLite", func(t *testing.T) { do(t, openStore(t, t.TempDir())) })
	t.Run("PostgreSQL", func(t *testing.T) {
		st, err := store.Open(t.Context(), store.Options{URL: postgrestest.URL(t), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		do(t, st)
	})
}

// newCheck returns a check that is expected each day.
func newCheck(t *testing.T, l *live, c *clock, name string) *check {
	t.Helper()
	l.t = t
	k := &check{live: l, clock: c, name: name, a: uuid.NewString(), b: uuid.NewString()}
	k.key, k.admin = l.mint(access.Ping, time.Time{}, c.now()), l.mint(access.Admin, time.Time{}, c.now())
	k.put(`{"every_seconds":86400}`)
	k.uuid = strings.TrimPrefix(k.due().PingURL, "/ping/")
	return k
}

func (k *check) put(body string) {
	k.t.Helper()
	k.do("PUT", "/api/v1/jobs/"+k.name+"/due", []byte(body), "Authorization", "Bearer "+k.admin, "Content-Type", "application/json").ok(k.t, nil)
}

// asAdmin returns the header of a token of the scope admin; none for a server that needs none.
func (k *check) asAdmin() []string {
	if k.admin == "" {
		return nil
	}
	return []string{"Authorization", "Bearer " + k.admin}
}

func (k *check) read(path string, v any) {
	k.t.Helper()
	k.get(path, k.asAdmin()...).ok(k.t, v)
}

func (k *check) due() (out api.JobDue) {
	k.t.Helper()
	k.read("/api/v1/jobs/"+k.name+"/due", &out)
	return out
}

// ping sends a ping to a path below the UUID, and checks that it is answered with OK.
func (k *check) ping(method, path, body string) {
	k.t.Helper()
	k.want(k.do(method, "/ping/"+k.uuid+path, []byte(body)), 200, "OK")
}

// want checks the answer to a ping.
func (k *check) want(r reply, status int, text string) {
	k.t.Helper()
	if r.status != status || string(r.body) != text {
		k.t.Errorf("answered %d %q, want %d %q", r.status, r.body, status, text)
	}
	h := r.header
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Cache-Control") != "no-store" || h.Get("Ping-Body-Limit") != "10000000" ||
		!strings.HasPrefix(h.Get("Content-Type"), "text/plain") {
		k.t.Errorf("headers %v", h)
	}
}

// runs returns the runs of the job, the first one first.
func (k *check) runs() []job.Run {
	k.t.Helper()
	var page struct{ Runs []job.Run }
	k.read("/api/v1/runs?job="+k.name, &page)
	slices.SortFunc(page.Runs, func(a, b job.Run) int { return int(a.Number - b.Number) })
	return page.Runs
}

// states checks the states of the job's runs, the first one first.
func (k *check) states(want ...job.State) {
	k.t.Helper()
	var got []job.State
	for _, run := range k.runs() {
		got = append(got, run.State)
	}
	if !slices.Equal(got, want) {
		k.t.Errorf("runs are %v, want %v", got, want)
	}
}

// gaps checks what of the output of a run was not kept.
func (k *check) gaps(run job.Run, want ...job.Gap) {
	k.t.Helper()
	var whole job.Run
	k.read("/api/v1/runs/"+run.ID, &whole)
	for i, got := range whole.Output.Gaps {
		if got.Reason == "" || got.At.IsZero() {
			k.t.Errorf("%+v", got)
		}
		whole.Output.Gaps[i] = job.Gap{Step: got.Step, AtBytes: got.AtBytes, Bytes: got.Bytes, Lines: got.Lines}
	}
	if !slices.Equal(whole.Output.Gaps, want) {
		k.t.Errorf("gaps %+v, want %+v", whole.Output.Gaps, want)
	}
}

// log checks what a run printed.
func (k *check) log(run job.Run, want string) {
	k.t.Helper()
	r := k.get("/api/v1/runs/"+run.ID+"/log", "Authorization", "Bearer "+k.admin)
	if r.status != 200 || string(r.body) != want {
		k.t.Errorf("log %d %.100q, %d bytes; want %.100q, %d bytes", r.status, r.body, len(r.body), want, len(want))
	}
}

// The cases of the tests of Healthchecks' own pings.
var pingCases = map[string]func(k *check){
	"a success": func(k *check) {
		k.ping("GET", "", "")
		run := k.runs()[0]
		wantRun(k.t, run, job.Succeeded, true)
		if run.Host != "127.0.0.1" || run.Labels["wire"] != "healthchecks" || *run.Outcome.ExitCode != 0 || !strings.Contains(run.Outcome.Message, "start was not reported") {
			k.t.Errorf("%+v", run)
		}
		if d := k.due(); d.LastStartAt == nil || !d.LastStartAt.Equal(k.clock.now()) {
			k.t.Errorf("%+v", d.Due)
		}
	},
	"a paused job stays paused": func(k *check) {
		k.do("POST", "/api/v1/jobs/"+k.name+"/due/pause", nil, "Authorization", "Bearer "+k.admin).ok(k.t, nil)
		k.ping("GET", "", "")
		k.ping("GET", "/start", "")
		if d := k.due(); d.State != api.DuePaused {
			k.t.Errorf("state %s", d.State)
		}
		k.states(job.Succeeded, job.Running)
	},
	"a start and a success": func(k *check) {
		k.ping("GET", "/start", "")
		k.states(job.Running)
		k.clock.add(10 * time.Second)
		k.ping("GET", "", "")
		k.states(job.Succeeded)
		if run := k.runs()[0]; run.EndedAt.Sub(*run.StartedAt) != 10*time.Second || run.Outcome.Message != "Reported as succeeded." {
			k.t.Errorf("%+v", run)
		}
	},
	"a body": func(k *check) {
		k.ping("POST", "", "hello world")
		k.log(k.runs()[0], "hello world")
	},
	"HEAD": func(k *check) {
		r := k.do("HEAD", "/ping/"+k.uuid, nil)
		k.want(r, 200, "")
		k.states(job.Succeeded)
	},
	"PUT": func(k *check) { k.ping("PUT", "/fail", "x"); k.states(job.Failed) },
	"OPTIONS is no ping": func(k *check) {
		r := k.do("OPTIONS", "/ping/"+k.uuid, nil)
		if r.status != 204 || r.header.Get("Access-Control-Allow-Origin") != "*" || len(k.runs()) != 0 {
			k.t.Errorf("%d %v, %d runs", r.status, r.header, len(k.runs()))
		}
	},
	"another method": func(k *check) {
		k.do("DELETE", "/ping/"+k.uuid, nil).problem(k.t, 405)
		k.do("DELETE", "/"+k.uuid, nil).problem(k.t, 405)
		k.states()
	},
	"no UUID": func(k *check) {
		for _, path := range []string{"/ping/not-uuid/", "/ping/" + strings.ReplaceAll(k.uuid, "-", ""), "/ping/07c2f548-9850-4b27-af5d-6c9dc157ec02", "/ping/" + k.uuid + "/stop", "/ping/" + k.uuid + "/-1"} {
			k.want(k.get(path), 404, "not found")
		}
	},
	"a long name of a browser": func(k *check) {
		k.want(k.get("/ping/"+k.uuid, "User-Agent", strings.Repeat("Mozilla/5.0 ", 50)), 200, "OK")
		k.states(job.Succeeded)
	},
	"the address that a stranger forwards": func(k *check) {
		k.want(k.get("/ping/"+k.uuid, "X-Forwarded-For", "1.1.1.1, 2.2.2.2", "X-Forwarded-Proto", "https"), 200, "OK")
		if run := k.runs()[0]; run.Host != "127.0.0.1" {
			k.t.Errorf("host %s", run.Host)
		}
	},
	"a failure": func(k *check) {
		k.ping("GET", "/fail", "")
		run := k.runs()[0]
		wantRun(k.t, run, job.Failed, true)
		if run.Outcome.ExitCode != nil {
			k.t.Errorf("exit code %d", *run.Outcome.ExitCode)
		}
	},
	"a rid": func(k *check) {
		k.ping("GET", "/start?rid="+strings.ToUpper(k.a), "")
		if run := k.runs()[0]; run.ID != k.a || run.State != job.Running {
			k.t.Errorf("%s is %s", run.ID, run.State)
		}
		k.clock.add(10 * time.Second)
		k.ping("GET", "?rid="+k.a, "")
		k.states(job.Succeeded)
		k.ping("GET", "?rid="+k.a, "") // repeated
		k.states(job.Succeeded)
		k.ping("GET", "/start?rid="+k.a, "") // the id is not free any more
		k.states(job.Succeeded, job.Running)
		if run := k.runs()[1]; run.Labels["rid"] != k.a {
			k.t.Errorf("labels %v", run.Labels)
		}
	},
	"a success with another rid": func(k *check) {
		k.ping("GET", "/start?rid="+k.a, "")
		k.clock.add(10 * time.Second)
		k.ping("GET", "?rid="+k.b, "")
		k.states(job.Running, job.Succeeded)
	},
	"runs with rids side by side": func(k *check) {
		k.ping("GET", "/start?rid="+k.a, "")
		k.ping("GET", "/start?rid="+k.b, "")
		k.ping("GET", "/start", "")
		k.ping("POST", "/3?rid="+k.b, "of b")
		k.states(job.Running, job.Failed, job.Running)
		k.ping("POST", "?rid="+k.a, "of a")
		k.ping("POST", "", "of none")
		k.states(job.Succeeded, job.Failed, job.Succeeded)
		for i, text := range []string{"of a", "of b", "of none"} {
			k.log(k.runs()[i], text)
		}
	},
	"a success or failure without the rid": func(k *check) {
		k.ping("GET", "/start?rid="+k.a, "")
		k.ping("GET", "", "")
		k.ping("GET", "/fail?rid="+k.b, "")
		k.states(job.Running, job.Succeeded, job.Failed)
	},
	"POST only": func(k *check) {
		k.put(`{"every_seconds":86400,"post_only":true}`)
		k.ping("GET", "", "")
		k.ping("PUT", "/start", "")
		k.want(k.do("HEAD", "/ping/"+k.uuid+"/fail", nil), 200, "")
		k.states()
		if d := k.due(); d.LastStartAt != nil || !d.PostOnly {
			k.t.Errorf("%+v", d)
		}
		k.ping("POST", "", "")
		k.states(job.Succeeded)
	},
	"labels": pingLabels,
	"a long body": func(k *check) {
		long := bytes.Repeat([]byte("0123456789abcdef"), 700_000)
		k.want(k.do("POST", "/ping/"+k.uuid, long), 200, "OK")
		k.log(k.runs()[0], string(long[:10_000_000]))
		k.gaps(k.runs()[0], job.Gap{AtBytes: 10_000_000, Bytes: 1_200_000})
		k.ping("POST", "/start", string(long[:9_999_999]))
		k.ping("POST", "/0", string(long[:100_000]))
		k.log(k.runs()[1], string(long[:9_999_999])+string(long[:100_000]))
	},
	"more output than is kept of a run": func(k *check) {
		line := []byte(strings.Repeat("x", 999) + "\n")
		long := bytes.Repeat(line, 10_000)
		k.ping("POST", "/start", string(long))
		for range 7 {
			k.ping("POST", "/log", string(long))
		}
		k.ping("POST", "/0", string(line))
		run := k.runs()[0]
		kept := run.Output.Bytes
		if kept < 64<<20-1<<20 || kept > 64<<20+64<<10 {
			k.t.Errorf("%d bytes are kept", kept)
		}
		k.gaps(run, job.Gap{AtBytes: kept, Bytes: 70_000_000 - kept, Lines: 70_000 - kept/1000},
			job.Gap{AtBytes: 70_000_000, Bytes: 10_000_000, Lines: 10_000}, job.Gap{AtBytes: 80_000_000, Bytes: 1000, Lines: 1})
	},
	"exit codes": func(k *check) {
		k.ping("GET", "/0", "")
		k.ping("GET", "/123", "")
		k.ping("GET", "/255", "")
		k.states(job.Succeeded, job.Failed, job.Failed)
		for i, want := range []int{0, 123, 255} {
			if got := k.runs()[i].Outcome.ExitCode; *got != want {
				k.t.Errorf("exit code %d, want %d", *got, want)
			}
		}
		for _, code := range []string{"/256", "/999999999999999999999"} {
			k.want(k.get("/ping/"+k.uuid+code), 400, "invalid url format")
		}
	},
	"bytes that are no text": func(k *check) {
		k.ping("POST", "", "Hello \xe9 \x00World")
		k.log(k.runs()[0], "Hello \xe9 \x00World")
	},
	"output": func(k *check) {
		k.ping("POST", "/log", "of no run")
		k.states()
		if d := k.due(); d.LastStartAt != nil {
			k.t.Errorf("a start at %s", d.LastStartAt)
		}
		k.ping("POST", "/start", "a")
		k.ping("POST", "/log", "b")
		k.ping("POST", "/log", "c")
		k.ping("POST", "/7", "d")
		k.ping("POST", "/log", "too late")
		k.states(job.Failed)
		k.log(k.runs()[0], "abcd")
	},
	"no rid": func(k *check) {
		for _, rid := range []string{"12345", "684e2e73-017e-465f-8149-d70b7c5aaa490", "", strings.ReplaceAll(k.a, "-", "")} {
			k.want(k.get("/ping/"+k.uuid+"/start?rid="+rid), 400, "invalid uuid format")
		}
		k.states()
	},
	"other parameters": func(k *check) {
		k.ping("GET", "?m=1&create=1&x=%zz;", "")
		k.states(job.Succeeded)
	},
	"slashes at the end": func(k *check) {
		k.ping("GET", "/", "")
		k.ping("POST", "/fail/", "x")
		k.ping("GET", "/3/?rid="+k.a, "")
		k.want(k.get("/ping/"+k.key+"/"+k.name+"/4/"), 200, "OK")
		k.states(job.Succeeded, job.Failed, job.Failed, job.Failed)
	},
	"at the root": func(k *check) {
		at := k.clock
		for _, path := range []string{"/" + k.uuid, "/" + k.uuid + "/fail", "/" + k.uuid + "/1/", "/" + k.key + "/" + k.name + "/2", "/" + k.key + "/" + k.name + "/"} {
			at.add(time.Minute)
			k.want(k.do("POST", path, nil), 200, "OK")
		}
		k.states(job.Succeeded, job.Failed, job.Failed, job.Failed, job.Succeeded)
		k.want(k.get("/07c2f548-9850-4b27-af5d-6c9dc157ec02"), 404, "not found")
		k.want(k.get("/zzzzzzzzzzzzzzzzzzzzzz/"+k.name), 404, "not found")
		k.want(k.get("/"+k.key+"/"+k.name+"/stop"), 404, "not found")
		if r := k.get("/jobs/" + k.name); string(r.body) != "a page" {
			k.t.Errorf("the page answered %d %s", r.status, r.body)
		}
	},
	"a start replaces one without a rid": func(k *check) {
		k.ping("GET", "/start", "")
		k.ping("GET", "/start", "") // repeated, because there was no answer
		k.clock.add(time.Minute)
		k.ping("GET", "/start", "")
		k.states(job.Lost, job.Running)
		if m := k.runs()[0].Outcome.Message; !strings.Contains(m, "began before this one reported its end") {
			k.t.Errorf("message %q", m)
		}
	},
	"the end after it was called lost": func(k *check) {
		k.ping("GET", "/start", "")
		k.clock.add(2*time.Hour + time.Second)
		callLost(k.t, k.store, k.runs()[0], k.clock.now())
		k.states(job.Lost)
		k.ping("GET", "", "")
		k.states(job.Succeeded)
	},
	"successes again and again": func(k *check) {
		k.ping("GET", "", "")
		k.clock.add(10 * time.Second)
		k.ping("GET", "", "") // repeated
		k.clock.add(24 * time.Hour)
		k.ping("GET", "", "")
		k.states(job.Succeeded, job.Succeeded)
	},
	"pulses": func(k *check) {
		const day = 24 * time.Hour
		now := k.clock.now()
		k.clock.add(now.Truncate(day).Add(day + day/2).Sub(now)) // noon: with each day one success is a run again
		k.put(`{"every_seconds":60,"grace_seconds":60}`)
		k.ping("POST", "", "first")
		for i := range 5 {
			k.clock.add(time.Minute)
			k.ping("POST", "", fmt.Sprint("pulse ", i))
		}
		k.states(job.Succeeded)
		d := k.due()
		if p := d.Pulses; p == nil || p.Times != 5 || p.Body != "pulse 4" || !p.LastAt.Equal(k.clock.now()) || !d.LastStartAt.Equal(k.clock.now()) {
			k.t.Errorf("%+v", d)
		}
		k.clock.add(time.Minute)
		k.ping("GET", "/fail", "")
		k.clock.add(time.Minute)
		k.ping("GET", "", "") // a change
		k.clock.add(time.Minute)
		k.ping("GET", "", "")
		k.states(job.Succeeded, job.Failed, job.Succeeded)
		k.ping("GET", "/start", "")
		k.ping("GET", "", "") // the end of a run
		k.states(job.Succeeded, job.Failed, job.Succeeded, job.Succeeded)
	},
	"by slug": func(k *check) {
		at := "/ping/" + k.key + "/" + k.name
		for _, one := range []string{"GET ", "POST /fail", "HEAD /start", "GET /0", "PUT /123"} {
			method, path, _ := strings.Cut(one, " ")
			k.clock.add(time.Minute)
			r := k.do(method, at+path, []byte("hello"))
			if method == "HEAD" {
				r.body = []byte("OK")
			}
			k.want(r, 200, "OK")
		}
		k.states(job.Succeeded, job.Failed, job.Succeeded, job.Failed)
		k.log(k.runs()[3], "hello")
	},
	"a slug of two": func(k *check) {
		k.do("PUT", "/api/v1/jobs/another/due", []byte(`{"every_seconds":60,"slug":"`+k.name+`"}`), "Authorization", "Bearer "+k.admin, "Content-Type", "application/json").ok(k.t, nil)
		k.want(k.get("/ping/"+k.key+"/"+k.name), 409, "ambiguous slug")
		k.states()
	},
	"wrong keys": func(k *check) {
		for _, key := range []string{"rrrrrrrrrrrrrrrrrrrrrr", "x", k.admin, "stint_" + k.key} {
			k.want(k.get("/ping/"+key+"/"+k.name), 404, "not found")
		}
		for range 10 {
			k.get("/ping/rrrrrrrrrrrrrrrrrrrrrr/" + k.name)
		}
		if r := k.get("/ping/rrrrrrrrrrrrrrrrrrrrrr/" + k.name); r.status != 429 || r.header.Get("Retry-After") == "" {
			k.t.Errorf("after many wrong keys: %d %v", r.status, r.header)
		}
		k.want(k.get("/ping/"+k.key+"/"+k.name), 200, "OK")
		k.states(job.Succeeded)
		var list struct{ Entries []access.AuditEntry }
		k.read("/api/v1/audit", &list)
		for _, e := range list.Entries {
			if strings.Contains(e.Target, "rrrr") {
				k.t.Errorf("the audit log shows the key: %+v", e)
			}
		}
	},
	"a new job": func(k *check) {
		made := &check{live: k.live, clock: k.clock, name: k.name + "-new", admin: k.admin, key: k.key}
		path := "/ping/" + k.key + "/" + made.name
		made.want(made.get(path), 404, "not found")
		made.want(made.get(path+"?create=1&rid=x"), 400, "invalid uuid format")
		made.get("/api/v1/jobs/"+made.name+"/due", "Authorization", "Bearer "+k.admin).problem(k.t, 404)
		made.want(made.do("POST", path+"/start?create=1", nil), 201, "Created")
		made.clock.add(time.Minute)
		made.want(made.do("POST", path+"?create=1", nil), 200, "OK")
		made.states(job.Succeeded)
		if d := made.due(); d.EverySeconds != 86400 || d.GraceSeconds != 3600 || d.LastStartAt == nil || d.SetBy != "for ping" {
			k.t.Errorf("%+v", d)
		}
		k.want(k.get("/ping/07c2f548-9850-4b27-af5d-6c9dc157ec02?create=1"), 404, "not found")
	},
	"a slug in capitals": func(k *check) {
		k.want(k.get("/ping/"+k.key+"/"+k.name+"FOO"), 400, "invalid url format")
		k.want(k.get("/ping/"+k.key+"/%C3%A9?create=1"), 404, "not found")
	},
}

func TestPings(t *testing.T) {
	onStores(t, func(t *testing.T, st *store.Store) {
		page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("a page")) })
		n := 0
		for name, do := range pingCases {
			n++
			t.Run(name, func(t *testing.T) {
				c := newClock()
				l := start(t, server.Config{Store: st, RequireToken: true, Now: c.now, UI: page})
				l.store = st
				do(newCheck(t, l, c, fmt.Sprintf("job-%d", n)))
			})
		}
	})
}
