package e2e

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// gated begins a run whose job prints a line, and another one when the file that it waits for is there.
func gated(t *testing.T, h *host, urls ...string) (id string, end func() result) {
	t.Helper()
	gate := filepath.Join(t.TempDir(), "gate")
	id = "01890a5d-ac96-774b-bcce-b302099a8057"
	args := []string{"run", "--run-id", id, "--job", "gated", "--flush-timeout", "3s"}
	for _, url := range urls {
		args = append(args, "--server", url)
	}
	cmd := h.command(stintAgent, append(args, "--", "sh", "-c", `echo one; until [ -e "`+gate+`" ]; do sleep 0.05; done; echo two`)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return id, func() result {
		t.Helper()
		if err := os.WriteFile(gate, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // the code says how it ended
		return result{stdout.String(), stderr.String(), shellCode(cmd.ProcessState)}
	}
}

// A journal of which a server has a part goes to the same installation at another address, without being asked to; a server of
// another installation gets it only with --any.
func TestAJournalGoesToItsInstallation(t *testing.T) {
	s, other := startServer(t), startServer(t)
	h := newHost(t)
	id, end := gated(t, h, s.url)
	eventually(t, "the run is on the server", func() bool { r, ok := s.find(id); return ok && r.State == job.Running })
	s.kill()
	if r := end(); r.code != 0 || r.stdout != "one\ntwo\n" {
		t.Fatalf("the job: %+v", r)
	}
	if r := h.run("flush", "--server", other.url); r.code != 0 || !strings.Contains(r.stdout, "left alone: belongs to another installation") {
		t.Errorf("to another installation: %+v", r)
	}
	if _, there := other.find(id); there {
		t.Error("the other installation has the run")
	}
	copied := newHost(t)
	if err := os.CopyFS(copied.state, os.DirFS(h.state)); err != nil {
		t.Fatal(err)
	}
	if r := copied.run("flush", "--server", other.url, "--any"); r.code != 0 || !strings.Contains(r.stdout, "delivered") {
		t.Errorf("with --any: %+v", r)
	}
	if r, there := other.find(id); !there || !r.Output.Complete {
		t.Errorf("with --any: %+v", r)
	}
	s.url = "http://" + freeAddress(t)
	s.start()
	h.env = append(h.env, "STINT_SERVER="+s.url)
	if r := h.run("flush"); r.code != 0 || !strings.Contains(r.stdout, "delivered") {
		t.Errorf("to the installation at another address: %+v", r)
	}
	if r, ok := s.find(id); !ok || r.State != job.Succeeded || !r.Output.Complete {
		t.Errorf("the run: %+v", r)
	}
}

// The database of the only address is replaced while a job runs: what the host has of the journal goes to the new one from its
// beginning, which is reported. Of two addresses the one with the new database gets nothing.
func TestADatabaseIsReplacedWhileAJobRuns(t *testing.T) {
	t.Run("one address", func(t *testing.T) {
		s, h := startServer(t), newHost(t)
		id, end := gated(t, h, s.url)
		eventually(t, "the run is on the server", func() bool { r, ok := s.find(id); return ok && r.State == job.Running })
		s.kill()
		s.data = filepath.Join(t.TempDir(), "new")
		s.start()
		eventually(t, "the run is on the new server", func() bool { _, ok := s.find(id); return ok })
		r := end()
		if r.code != 0 || !strings.Contains(r.stderr, "another database than before") {
			t.Errorf("%+v", r)
		}
		got, ok := s.find(id)
		if log := string(s.get("/api/v1/runs/" + id + "/log")); !ok || got.State != job.Succeeded || !got.Output.Complete || log != "one\ntwo\n" {
			t.Errorf("%s, complete %v, log %q", got.State, got.Output.Complete, log)
		}
	})
	t.Run("two addresses of two installations", func(t *testing.T) {
		s, other, h := startServer(t), startServer(t), newHost(t)
		id, end := gated(t, h, s.url, other.url)
		eventually(t, "the run is on the server", func() bool { r, ok := s.find(id); return ok && r.State == job.Running })
		s.kill()
		<-time.After(4 * time.Second) // longer than it bears an outage of one address
		r := end()
		if r.code != 0 || strings.Count(r.stderr, "belongs to another installation") != 1 || !strings.Contains(r.stderr, "waits at") {
			t.Errorf("%+v", r)
		}
		if _, there := other.find(id); there {
			t.Error("the other installation has the run")
		}
		s.start()
		if r := h.run("flush", "--server", other.url, "--server", s.url); r.code != 0 || !strings.Contains(r.stdout, "delivered") && !strings.Contains(r.stdout, "left alone") {
			t.Errorf("%+v", r)
		}
		if r := h.run("flush", "--server", s.url); r.code != 0 {
			t.Errorf("%+v", r)
		}
		got, ok := s.find(id)
		if log := string(s.get("/api/v1/runs/" + id + "/log")); !ok || got.State != job.Succeeded || !got.Output.Complete || log != "one\ntwo\n" {
			t.Errorf("%s, complete %v, log %q", got.State, got.Output.Complete, log)
		}
		if events := string(s.get("/api/v1/runs/" + id + "/events")); !strings.Contains(events, "belongs to another installation") {
			t.Errorf("no note in %s", events)
		}
	})
}
