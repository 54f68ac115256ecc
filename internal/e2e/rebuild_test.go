package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// answers is what the API says of runs, but for what docs/backup.md says is lost: when an
// last heartbeat, for runs that were not packed yet, and ids and times that are the
// server's own.
func (s *server) answers(refs ...string) map[string]string {
	s.t.Helper()
	all := map[string]string{}
	for _, ref := range refs {
		run := "/api/v1/runs/" + strings.ReplaceAll(ref, "#", "%23")
		for _, path := range []string{"", "/events", "/samples"} {
			var doc any
			if err := json.Unmarshal(s.get(run+path), &doc); err != nil {
				s.t.Fatal(err)
			}
			dropLost(doc)
			text, err := json.MarshalIndent(doc, "", " ")
			if err != nil {
				s.t.Fatal(err)
			}
			all[run+path] = string(text)
		}
		for _, path := range []string{"/log", "/log?tail=3", "/log?from_line=2&lines=3", "/log/search?q=a", "/attempts/1/journal"} {
			all[run+path] = string(s.get(run + path))
		}
	}
	return all
}

func dropLost(doc any) {
	switch v := doc.(type) {
	case map[string]any:
		delete(v, "last_heartbeat_at")
		if clock, event := v["clock"]; event {
			delete(v, "id")
			if clock == "server" { // it is diagnosed again
				delete(v, "at")
			}
		}
		for _, one := range v {
			dropLost(one)
		}
	case []any:
		for _, one := range v {
			dropLost(one)
		}
	}
}

// Somebody deletes the database: the server says so instead of deleting the journals, and
// what it answers after check --rebuild is what it answered before.
func TestRebuildAfterLosingTheDatabase(t *testing.T) {
	s := startServer(t)
	h := newHost(t)
	runs := map[string]string{
		"good#1":  "seq 5; echo aha",
		"good#2":  "seq 300000; echo a >&2",
		"bad#1":   "echo and then; exit 3",
		"good#3":  "printf 'no newline at the end: a'",
		"quiet#1": "sleep 2",
	}
	refs := []string{"good#1", "good#2", "bad#1", "good#3", "quiet#1"}
	for _, ref := range refs {
		name, _, _ := strings.Cut(ref, "#")
		got := h.run("run", "--server", s.url, "--job", name, "--label", "team=ml", "--sample-period", "500ms", "--quiet", "--", "sh", "-c", runs[ref])
		if got.code == 2 {
			t.Fatalf("%+v", got)
		}
		s.ended(ref)
	}
	// The diagnosis of the bad run comes a moment after its end.
	eventually(t, "there is a diagnosis", func() bool { r, _ := s.find("bad#1"); return r.Diagnosis != nil })
	before := s.answers(refs...)
	s.kill()
	for _, end := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(filepath.Join(s.data, "stint.db"+end)); err != nil {
			t.Fatal(err)
		}
	}
	if got := h.run("server", "--data", s.data, "--listen", "127.0.0.1:0"); got.code != 1 || !strings.Contains(got.stderr, "stint server check --rebuild") {
		t.Fatalf("a server without its database: %+v", got)
	}
	got := h.run("server", "check", "--rebuild", "--data", s.data)
	if got.code != 0 || !strings.Contains(got.stdout, "5 runs") || !strings.Contains(got.stdout, "lost: tokens") {
		t.Fatalf("check --rebuild: %+v", got)
	}
	if got := h.run("server", "check", "--rebuild", "--data", s.data); got.code != 1 || !strings.Contains(got.stderr, "is in order") {
		t.Errorf("a second rebuild: %+v", got)
	}
	s.start()
	eventually(t, "there is a diagnosis again", func() bool { r, _ := s.find("bad#1"); return r.Diagnosis != nil })
	for path, want := range before {
		if got := s.answers(refs...)[path]; got != want {
			t.Errorf("%s differs: before\n%.3000s\nafter\n%.3000s", path, want, got)
		}
	}
	if got := h.run("server", "check", "--data", s.data); got.code != 0 {
		t.Errorf("check: %+v", got)
	}
	h.run("run", "--server", s.url, "--job", "good", "--quiet", "--", "echo", "on")
	if run := s.ended("good#4"); run.State != job.Succeeded || !bytes.Equal(s.log("good#4", ""), []byte("on\n")) {
		t.Errorf("the next run: %+v", run)
	}
}
