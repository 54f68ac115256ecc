package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

const report = `job: report
description: Orders of the day
command: [python, report.py]
zone: Europe/Berlin
parameters:
  - {name: DAY, type: date, default: yesterday, help: the day to report}
  - {name: FORMAT, type: choice, choices: [pdf, html], default: pdf}
  - {name: CUSTOMER, type: text}
limits: {timeout: 2h}
group: warehouse
`

// apply sends files with definitions.
func (l *live) apply(in api.ApplyRequest) reply {
	l.t.Helper()
	body, err := json.Marshal(in)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.do("POST", "/api/v1/definitions", body, "Content-Type", "application/json")
}

func files(texts ...string) (all []api.ApplyFile) {
	for i, text := range texts {
		all = append(all, api.ApplyFile{Name: fmt.Sprintf("%d.yaml", i+1), YAML: text})
	}
	return all
}

func TestApplyDefinitions(t *testing.T) {
	c := newClock()
	c.at = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	l := start(t, server.Config{Now: c.now})
	var out api.ApplyReply
	l.apply(api.ApplyRequest{Files: files(report, "job: etl\nscript: x\n"), Source: "reports", DryRun: true, By: "ada"}).ok(t, &out)
	if !out.DryRun || len(out.Results) != 2 || out.Results[1].Result != api.ApplyCreated {
		t.Errorf("%+v", out)
	}
	l.get("/api/v1/definitions/report").problem(t, http.StatusNotFound)
	l.apply(api.ApplyRequest{Files: files(report, "job: etl\nscript: x\n"), Source: "reports", By: "ada"}).ok(t, nil)

	var got api.DefinedJob
	l.get("/api/v1/definitions/report").ok(t, &got)
	day, pdf := "yesterday", "pdf"
	resolved := "2026-11-27"
	want := api.DefinedJob{
		Job: "report", Version: got.Version, Source: "reports", Description: "Orders of the day", YAML: report, Command: "python report.py",
		Parameters: []api.ParameterInput{
			{Name: "DAY", Type: "date", Default: &day, Resolved: &resolved, Help: "the day to report"},
			{Name: "FORMAT", Type: "choice", Default: &pdf, Resolved: &pdf, Choices: []string{"pdf", "html"}},
			{Name: "CUSTOMER", Type: "text"},
		},
		Zone: "Europe/Berlin", Priority: job.PriorityNormal, Group: "warehouse", AppliedAt: c.now(), AppliedBy: "ada",
	}
	if diff := cmp.Diff(want, got); diff != "" || len(got.Version) != 64 {
		t.Errorf("version %q (-want +got) %s", got.Version, diff)
	}

	c.add(time.Minute)
	changed := strings.Replace(report, "2h", "3h", 1)
	l.apply(api.ApplyRequest{Files: files(changed)}).ok(t, &out)
	if diff := cmp.Diff([]string{"limits.timeout: 2h → 3h"}, out.Results[0].Changes); diff != "" || out.Results[0].Before != got.Version || out.Results[0].File != "1.yaml" {
		t.Errorf("%+v %s", out, diff)
	}
	var versions struct{ Versions []api.DefinitionVersion }
	l.get("/api/v1/definitions/report/versions").ok(t, &versions)
	if v := versions.Versions; len(v) != 2 || !v[0].Current || v[1].Current || v[1].Version != got.Version || !slices.Equal(v[0].Changes, out.Results[0].Changes) || v[1].Changes == nil {
		t.Errorf("%+v", v)
	}
	var diff struct {
		From, To string
		Changes  []string
	}
	l.get("/api/v1/definitions/report/diff?from="+got.Version[:8]).ok(t, &diff)
	if diff.From != got.Version || diff.To != out.Results[0].Version || !slices.Equal(diff.Changes, out.Results[0].Changes) {
		t.Errorf("%+v", diff)
	}
	l.get("/api/v1/definitions/report/diff?from="+out.Results[0].Version[:8]+"&to="+got.Version[:8]).ok(t, &diff)
	if len(diff.Changes) != 1 || diff.Changes[0] != "limits.timeout: 3h → 2h" {
		t.Errorf("%+v", diff)
	}
	l.get("/api/v1/definitions/report?version="+got.Version[:8]).ok(t, &got)
	if got.YAML != report {
		t.Errorf("the first version is %q", got.YAML)
	}
	l.get("/api/v1/definitions/report?version=zzzz").problem(t, http.StatusNotFound)
	l.get("/api/v1/definitions/report/diff").problem(t, http.StatusBadRequest)

	var list struct {
		Definitions []api.DefinedJob
		NextCursor  *string `json:"next_cursor"`
	}
	l.get("/api/v1/definitions?limit=1").ok(t, &list)
	if len(list.Definitions) != 1 || list.Definitions[0].Job != "etl" || list.Definitions[0].YAML != "" || list.NextCursor == nil {
		t.Fatalf("%+v", list)
	}
	l.get("/api/v1/definitions?limit=1&cursor="+*list.NextCursor).ok(t, &list)
	if len(list.Definitions) != 1 || list.Definitions[0].Job != "report" || list.NextCursor != nil {
		t.Errorf("%+v", list)
	}
}

// All mistakes of all files come at once, with their places.
func TestMistakesOfDefinitions(t *testing.T) {
	l := start(t, server.Config{})
	p := l.apply(api.ApplyRequest{Files: files("job: a\ncommand: ls\nzone: Nowhere\n", "job: b\nscript: x\n", "job: b\nscript: y\n", "job: c\nscript: x\nkeep: {days: 3}\n")}).
		problem(t, http.StatusUnprocessableEntity)
	var got []string
	for _, m := range p.Mistakes {
		got = append(got, fmt.Sprintf("%s:%d:%d", m.File, m.Line, m.Column))
	}
	if diff := cmp.Diff([]string{"1.yaml:2:10", "1.yaml:3:7", "3.yaml:1:1", "4.yaml:3:1"}, got); diff != "" {
		t.Errorf("%+v %s", p, diff)
	}
	for _, part := range []string{"1.yaml, line 2, column 10", "3 more mistakes"} {
		if !strings.Contains(p.Detail, part) {
			t.Errorf("%q does not say %q", p.Detail, part)
		}
	}
	l.get("/api/v1/definitions/b").problem(t, http.StatusNotFound)

	for name, c := range map[string]struct {
		in     api.ApplyRequest
		status int
		says   string
	}{
		"no file":        {api.ApplyRequest{}, 400, "no file"},
		"many files":     {api.ApplyRequest{Files: make([]api.ApplyFile, 1001)}, 400, "1000"},
		"no source":      {api.ApplyRequest{Files: files("job: a\nscript: x\n"), Prune: true}, 400, "needs a source"},
		"a source":       {api.ApplyRequest{Files: files("job: a\nscript: x\n"), Source: "a/b"}, 400, "source"},
		"10 MB":          {api.ApplyRequest{Files: files(strings.Repeat("# x\n", 10<<18))}, 422, "at most 262144 bytes"},
		"16 MiB":         {api.ApplyRequest{Files: files(strings.Repeat("x", 16<<20))}, 413, "at most"},
		"brackets":       {api.ApplyRequest{Files: files(strings.Repeat("[", 200_000))}, 422, "keys and values"},
		"billion laughs": {api.ApplyRequest{Files: files("job: a\nenv: {A: &a [x], B: &b [*a, *a]}\n")}, 422, "anchors"},
		"NUL":            {api.ApplyRequest{Files: files("job: a\nscript: \"x\\0\"\n")}, 422, "NUL"},
		"retry":          {api.ApplyRequest{Files: files("job: a\nscript: x\npolicy: {actions: {failed: {retry: 1}}}\n")}, 422, "retries: {limit: 2}"},
	} {
		if p := l.apply(c.in).problem(t, c.status); !strings.Contains(p.Detail, c.says) {
			t.Errorf("%s: %q does not say %q", name, p.Detail, c.says)
		}
	}
	for _, body := range []string{"", "{", `[]`, `{"files":[{"name":"a","yaml":1}]}`, `{"files":[],"bogus":1}`, `{"files":[],"files":[]}`} {
		l.do("POST", "/api/v1/definitions", []byte(body)).problem(t, http.StatusBadRequest)
	}
}

func TestEditDefinition(t *testing.T) {
	l := start(t, server.Config{})
	put := func(name, query, text string) reply {
		return l.do("PUT", "/api/v1/definitions/"+name+query, []byte(text), "Content-Type", "application/yaml")
	}
	var first, second api.DefinedJob
	put("etl", "", "job: etl\nscript: x\n").ok(t, &first)
	if first.EditedAt == nil || first.Version == "" {
		t.Errorf("%+v", first)
	}
	put("etl", "?base="+first.Version, "job: etl\nscript: y\n").ok(t, &second)
	p := put("etl", "?base="+first.Version, "job: etl\nscript: z\n").problem(t, http.StatusConflict)
	if !strings.Contains(p.Detail, "was changed since it was opened here") {
		t.Error(p.Detail)
	}
	put("etl", "?base="+first.Version+"&force=true", "job: etl\nscript: z\n").ok(t, nil)
	if p := put("etl", "", "job: other\nscript: z\n").problem(t, http.StatusUnprocessableEntity); !strings.Contains(p.Detail, `"other"`) {
		t.Error(p.Detail)
	}
	if p := put("etl", "", "job: etl\nscrpt: z\n").problem(t, http.StatusUnprocessableEntity); p.Line != 1 || len(p.Mistakes) != 2 {
		t.Errorf("%+v", p)
	}
	put("etl", "?base=abc", "job: etl\nscript: z\n").problem(t, http.StatusBadRequest)
	put("etl", "?bse="+first.Version, "job: etl\nscript: z\n").problem(t, http.StatusBadRequest)
	put("a%2Fb", "", "job: etl\nscript: z\n").problem(t, http.StatusBadRequest)
	put("etl", "", strings.Repeat("#", definition.MaxSize+1)).problem(t, http.StatusRequestEntityTooLarge)

	// An apply from a file names what it would overwrite.
	if p := l.apply(api.ApplyRequest{Files: files("job: etl\nscript: w\n")}).problem(t, http.StatusConflict); !strings.Contains(p.Detail, "was edited on the page") {
		t.Error(p.Detail)
	}

	// A policy with retry is refused for a job with a definition.
	if p := l.do("PUT", "/api/v1/jobs/etl/policy", []byte("actions: {failed: {retry: 1}}")).problem(t, http.StatusBadRequest); !strings.Contains(p.Detail, "retries") {
		t.Error(p.Detail)
	}

	var paused api.DefinedJob
	l.do("POST", "/api/v1/definitions/etl/pause", []byte(`{"by":"ada","why":"broken"}`), "Content-Type", "application/json").ok(t, &paused)
	if paused.Paused == nil || paused.Paused.By != "ada" || paused.Paused.Why != "broken" {
		t.Errorf("%+v", paused)
	}
	var resumed api.DefinedJob
	l.do("POST", "/api/v1/definitions/etl/resume", nil).ok(t, &resumed)
	if resumed.Paused != nil {
		t.Errorf("%+v", resumed)
	}
	l.do("POST", "/api/v1/definitions/none/pause", nil).problem(t, http.StatusNotFound)
	if r := l.do("DELETE", "/api/v1/definitions/etl", nil); r.status != http.StatusNoContent {
		t.Errorf("%d %s", r.status, r.body)
	}
	l.do("DELETE", "/api/v1/definitions/etl", nil).problem(t, http.StatusNotFound)
}

func TestSchemaOfDefinitions(t *testing.T) {
	l := start(t, server.Config{RequireToken: true})
	r := l.get("/schema/definition.json")
	var schema struct{ Properties map[string]any }
	r.ok(t, &schema)
	if schema.Properties["command"] == nil || schema.Properties["schedules"] == nil || schema.Properties["engine"] != nil || r.header.Get("Content-Type") != "application/schema+json" {
		t.Errorf("%s: %.200s", r.header.Get("Content-Type"), r.body)
	}
	l.get("/schema/definition.json?x=1").problem(t, http.StatusBadRequest)
}

// The audit log says which version of what was applied.
func TestDefinitionsAreAudited(t *testing.T) {
	c := newClock()
	l := start(t, server.Config{RequireToken: true, Now: c.now})
	secret := l.mint(access.Author, time.Time{}, c.now())
	body, err := json.Marshal(api.ApplyRequest{Files: files("job: etl\nscript: x\n"), By: "somebody else"})
	if err != nil {
		t.Fatal(err)
	}
	headers := []string{"Authorization", "Bearer " + secret, "Content-Type", "application/json"}
	l.do("POST", "/api/v1/definitions", body, headers...).ok(t, nil)
	l.do("PUT", "/api/v1/definitions/etl?force=true", []byte("job: etl\nscript: y\n"), headers...).ok(t, nil)
	entries, err := l.store.AuditLog(t.Context(), query.Audit{Limit: 10})
	if err != nil || len(entries) != 2 {
		t.Fatalf("%+v, %v", entries, err)
	}
	a, err := l.store.Definition(t.Context(), "etl")
	if err != nil || a.AppliedBy != "for author" || entries[0].Detail != "version "+a.Version || !strings.HasPrefix(entries[1].Detail, "created etl ") {
		t.Errorf("%+v, %v: %+v", a, err, entries)
	}
}
