package server_test

import (
	"fmt"
	"path/filepath"
	"sync"
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

// A token of the scope ping creates no more jobs than any other.
func TestPingsCreateFewJobs(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now, NewJobs: 2})
	k := newCheck(t, l, c, "a")
	for i := range 4 {
		r := k.get(fmt.Sprintf("/ping/%s/new-%d?create=1", k.key, i))
		if want := i < 2; (r.status == 201) != want || !want && (r.status != 429 || r.header.Get("Retry-After") == "") {
			t.Errorf("job %d: %d %s %v", i, r.status, r.body, r.header)
		}
	}
	k.get("/api/v1/jobs/new-3/due", "Authorization", "Bearer "+k.admin).problem(t, 404)
}

// A token of the scope ping is good for pings only, and the address of a job is shown to those who may ping.
func TestScopePing(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	k := newCheck(t, l, c, "backup")
	if !access.IsPingKey(k.key) {
		t.Errorf("the key has %d characters", len(k.key))
	}
	for _, path := range []string{"/api/v1/jobs", "/metrics", "/api/v1/jobs/backup/due"} {
		l.get(path, "Authorization", "Bearer "+k.key).problem(t, 403)
	}
	k.want(k.get("/ping/any/backup", "Authorization", "Bearer "+k.key), 200, "OK")
	var d api.JobDue
	l.get("/api/v1/jobs/backup/due", "Authorization", "Bearer "+l.mint(access.Read, time.Time{}, c.now())).ok(t, &d)
	if d.PingURL != "" {
		t.Errorf("a reader sees %s", d.PingURL)
	}
	short := l.mint(access.Ping, c.now().Add(time.Hour), c.now())
	k.want(k.get("/ping/"+short+"/backup"), 200, "OK")
	c.add(2 * time.Hour)
	if r := k.get("/ping/" + short + "/backup"); r.status != 401 && r.status != 404 {
		t.Errorf("an expired key: %d %s", r.status, r.body)
	}
	other := start(t, server.Config{Now: c.now, Store: l.store, PublicURL: "http://localhost:7846/stint/"})
	other.get("/api/v1/jobs/backup/due").ok(t, &d)
	if d.PingURL != "http://localhost:7846/stint/ping/"+k.uuid {
		t.Errorf("ping_url %s", d.PingURL)
	}
}

// On a server that needs no token, any key will do, but no page of another site may ping, with any method.
func TestPagesOfOtherSitesDoNotPing(t *testing.T) {
	for name, cfg := range map[string]server.Config{"loopback": {}, "insecure": {Insecure: true}} {
		t.Run(name, func(t *testing.T) {
			c := newClock()
			cfg.Now = c.now
			l := start(t, cfg)
			l.do("PUT", "/api/v1/jobs/backup/due", []byte(`{"every_seconds":86400}`), "Content-Type", "application/json").ok(t, nil)
			k := &check{live: l, clock: c, name: "backup"}
			browser := []string{"User-Agent", "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}
			tried := 0
			for _, headers := range [][]string{
				{"Sec-Fetch-Site", "cross-site"},
				{"Sec-Fetch-Site", "same-site"},
				{"Origin", "https://elsewhere.example"},
				{"Origin", "null"},
				browser,
			} {
				for _, path := range []string{"/ping/any/backup", "/ping/any/backup/start", "/ping/any/new?create=1", "/abcdefghijklmnopqrstuv/backup", "/abcdefghijklmnopqrstuv/backup/0/"} {
					for _, method := range []string{"GET", "HEAD", "POST", "PUT"} {
						tried++
						if r := l.do(method, path, nil, headers...); r.status != 403 {
							t.Errorf("%s %s with %v: %d", method, path, headers, r.status)
						}
					}
				}
			}
			k.states()
			if tried != 100 {
				t.Errorf("%d requests", tried)
			}
			for i, headers := range [][]string{{}, {"Sec-Fetch-Site", "same-origin"}, append([]string{"Sec-Fetch-Site", "none"}, browser...), {"Origin", l.url}} {
				c.add(time.Minute)
				k.want(l.do("POST", "/abcdefghijklmnopqrstuv/backup", nil, headers...), 200, "OK")
				if n := len(k.runs()); n != i+1 {
					t.Errorf("%d runs", n)
				}
			}
			k.want(l.get("/ping/any/new?create=1"), 201, "Created")
			var d api.JobDue
			l.get("/api/v1/jobs/backup/due").ok(t, &d)
			c.add(time.Hour) // a client that knows the UUID may ping from anywhere
			k.want(l.do("POST", d.PingURL, nil, "Sec-Fetch-Site", "cross-site", "Origin", "https://elsewhere.example"), 200, "OK")
			l.do("POST", "/api/v1/runs/cancel", nil, "Sec-Fetch-Site", "cross-site").problem(t, 403)
		})
	}
}

// While the database is away, pings are answered with 503, and soon.
func TestPingsWithoutADatabase(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	k := newCheck(t, l, c, "backup")
	if err := l.store.Close(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, path := range []string{"/ping/" + k.uuid, "/ping/" + k.key + "/backup"} {
		if r := k.do("POST", path, []byte("x")); r.status < 500 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("answered after %s", took)
	}
}

// An agent's runs with the label of a wire do not keep the wire from its own run, however many they are.
func TestLabelsDoNotHideTheRunsOfAWire(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{Now: c.now})
	client := tiny{l, "backup"}
	id := client.status("started")
	for range 25 {
		c.add(time.Second)
		l.append(newSketch(t, "backup", map[string]string{"wire": "compat", "began_with": "started"}).command())
	}
	if got := client.status("completed"); got != id {
		t.Errorf("the end belongs to run %s, want %s", got, id)
	}
}

// Pings of one run that overtake each other on two servers of one database make one run.
func TestPingsOnTwoServers(t *testing.T) {
	address := postgrestest.URL(t)
	c := newClock()
	var checks []*check
	for range 2 {
		st, err := store.Open(t.Context(), store.Options{URL: address, SecretKeyFile: filepath.Join(t.TempDir(), "secret.key")})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = st.Close() })
		l := start(t, server.Config{Now: c.now, Store: st, RequireToken: true})
		l.store = st
		checks = append(checks, newCheck(t, l, c, "backup"))
	}
	for i := range 10 {
		rid := ""
		if i%2 == 0 {
			rid = "?rid=" + uuid.NewString()
		}
		for _, path := range []string{"/start", ""} {
			var both sync.WaitGroup
			for _, k := range checks {
				both.Go(func() {
					if r := k.do("POST", "/ping/"+checks[0].uuid+path+rid, []byte("x")); r.status != 200 {
						t.Errorf("%d %s", r.status, r.body)
					}
				})
			}
			both.Wait()
		}
		c.add(time.Minute)
	}
	runs := checks[0].runs()
	if len(runs) != 10 {
		t.Errorf("%d runs", len(runs))
	}
	for _, run := range runs {
		wantRun(t, run, job.Succeeded, true)
	}
}
