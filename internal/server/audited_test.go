package server_test

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// notAudited are the requests that change something and are not in the audit log, each with why.
var notAudited = map[string]string{
	"POST /api/v1/runs/{run}/attempts/{attempt}/journal":   "by an agent",
	"POST /api/v1/runs/{run}/attempts/{attempt}/heartbeat": "by an agent",
	"PUT /compat/{job}/status":                             "by an agent",
	"PUT /compat/{job}/heartbeat":                          "by an agent",
	"POST /api/v1/workers/{worker}/claims":                 "by a worker",
	"POST /api/v1/workers/{worker}/claims/{claim}/release": "by a worker",
	"POST /api/v1/login":                                   "a login that succeeds is an entry of its own, and a refused one too",
	"POST /api/v1/logout":                                  "it ends what the caller began",
	"POST /ping/{uuid}":                                    "by a job",
	"PUT /ping/{uuid}":                                     "by a job",
	"POST /ping/{key}/{slug}":                              "by a job",
	"PUT /ping/{key}/{slug}":                               "by a job",
	"POST /ping/{key}/{slug}/{signal}":                     "by a job",
	"PUT /ping/{key}/{slug}/{signal}":                      "by a job",
	"OPTIONS /ping/{uuid}":                                 "it changes nothing",
	"OPTIONS /ping/{key}/{slug}":                           "it changes nothing",
	"OPTIONS /ping/{key}/{slug}/{signal}":                  "it changes nothing",
	"POST /api/v1/jobs/{job}/policy/test":                  "it changes nothing",
}

// Each request of a person that changes something is one row of the audit log with who sent it, whatever became of it.
func TestEveryChangeIsAudited(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	headers := []string{"Authorization", "Bearer " + l.mint(access.Admin, time.Time{}, c.now()), "Content-Type", "application/json"}
	place := regexp.MustCompile(`{[a-z]+}`)
	audited, without := 0, maps.Clone(notAudited)
	for _, rt := range server.RouteList(l.srv) {
		key := rt.Method + " " + rt.Pattern
		if rt.Method == http.MethodGet || rt.Method == http.MethodHead {
			continue
		}
		if _, known := without[key]; known {
			delete(without, key)
			continue
		}
		before := l.auditLog()
		r := l.do(rt.Method, place.ReplaceAllString(rt.Pattern, "none"), []byte(`{}`), headers...)
		after := l.auditLog()
		if len(after) != len(before)+1 {
			t.Errorf("%s: %d entries of the audit log, and %d before: %s", key, len(after), len(before), r.body)
			continue
		}
		if e := after[0]; e.Action != key || e.Who != "for admin" || e.Via != access.ViaToken || e.Status != r.status || e.Address == "" || !e.At.Equal(c.now()) {
			t.Errorf("%s, status %d: %+v", key, r.status, e)
		}
		audited++
	}
	if audited < 20 {
		t.Errorf("only %d requests", audited)
	}
	for key := range without {
		t.Errorf("there is no %s", key)
	}
}

func (l *live) auditLog() []access.AuditEntry {
	l.t.Helper()
	entries, err := l.store.AuditLog(l.t.Context(), query.Audit{Limit: 1000})
	if err != nil {
		l.t.Fatal(err)
	}
	return entries
}

// What the path does not say is in the detail of the entry: of definitions the version.
func TestDetailsOfTheAuditLog(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	headers := []string{"Authorization", "Bearer " + l.mint(access.Admin, time.Time{}, c.now()), "Content-Type", "application/json"}
	send := func(method, path, body string) reply {
		t.Helper()
		r := l.do(method, path, []byte(body), headers...)
		if r.status >= 300 {
			t.Fatalf("%s %s: %d %s", method, path, r.status, r.body)
		}
		return r
	}
	send("PUT", "/api/v1/definitions/etl", "job: etl\nscript: x\n")
	a, err := l.store.Definition(t.Context(), "etl")
	if err != nil {
		t.Fatal(err)
	}
	run := newID()
	if _, err := l.store.Claim(t.Context(), "w7", job.ClaimRequest{ClaimID: newID(), WorkerID: "id", Host: "h", Specs: []int{job.SpecVersion}, Slots: 1}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ method, path, body, detail string }{
		{"POST", "/api/v1/definitions", `{"files":[{"name":"a.yaml","yaml":"job: other\nscript: y\n"}]}`, "created other "},
		{"POST", "/api/v1/definitions/etl/pause", `{"why":"new disk"}`, "version " + a.Version + ": new disk"},
		{"POST", "/api/v1/definitions/etl/resume", ``, "version " + a.Version},
		{"PUT", "/api/v1/runs/" + run, `{"job":"etl"}`, "job etl, version " + a.Version},
		{"POST", "/api/v1/runs/" + run + "/priority", `{"priority":"high"}`, "priority high"},
		{"POST", "/api/v1/queue/release", `{}`, "released: 0"},
		{"PUT", "/api/v1/jobs/etl/due", `{"cron":"0 3 * * *"}`, "at 0 3 * * * UTC, grace 1 h"},
		{"PUT", "/api/v1/jobs/etl/due", `{"every_seconds":900,"grace_seconds":300}`, "every 15 m, grace 5 m"},
		{"POST", "/api/v1/jobs/etl/due/pause", ``, ""},
		{"DELETE", "/api/v1/jobs/etl/due", ``, ""},
		{"PUT", "/api/v1/groups/db", `{"limit":3}`, "limit 3"},
		{"DELETE", "/api/v1/groups/db", ``, ""},
		{"POST", "/api/v1/workers/w7/drain", `{"reason":"new disk"}`, "new disk"},
		{"POST", "/api/v1/workers/w7/resume", ``, ""},
		{"POST", "/api/v1/runs/" + run + "/cancel", `{"why":"a mistake"}`, "a mistake"},
		{"POST", "/api/v1/runs/cancel", `{"runs":["` + run + `"]}`, "runs " + run},
		{"DELETE", "/api/v1/definitions/etl", ``, "version " + a.Version},
	} {
		send(c.method, c.path, c.body)
		e := l.auditLog()[0]
		if text, _ := json.Marshal(e); !strings.HasPrefix(e.Detail, c.detail) || c.detail == "" && e.Detail != "" || e.Target != c.path || e.Who != "for admin" {
			t.Errorf("%s %s: %s, want the detail %q", c.method, c.path, text, c.detail)
		}
	}
}
