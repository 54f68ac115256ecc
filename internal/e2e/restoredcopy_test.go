package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
)

// A restored copy does nothing by itself until it is activated. Beside it works a second
// copy that is activated: once that one has sent, canceled, called lost and deleted what
// the backup asks for, the first must have done none of it.
func TestRestoredCopy(t *testing.T) {
	t.Parallel()
	onBothDatabases(t, func(t *testing.T, s *server) {
		t.Parallel()
		still, active := &receiver{}, &receiver{}
		stillAt, activeAt := httptest.NewServer(still), httptest.NewServer(active)
		defer stillAt.Close()
		defer activeAt.Close()
		s.stop()
		s.start("--allow-private-targets")
		a := newHost(t)
		// Nobody listens there: what is to be sent waits.
		if r := a.run("notify", "set", "hook", "--server", s.url, "--url", "http://"+freeAddress(t)+"/"); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		for range 3 {
			finish(t, a.command(stint, "run", "--server", s.url, "--job", "ended", "--", "false"))
		}
		lost, canceled := a.stopped(s, "lost"), a.stopped(s, "canceled")
		if r := a.run("cancel", "--server", s.url, canceled); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		one, two := copies(t, s)
		one.start("--allow-private-targets", "--keep-runs", "1", "--keep-now")
		two.start("--allow-private-targets", "--keep-runs", "1", "--keep-now", "--activate")
		for c, url := range map[*server]string{one: stillAt.URL, two: activeAt.URL} {
			if r := a.run("notify", "set", "hook", "--server", c.url, "--url", url); r.code != 0 {
				t.Fatalf("%+v", r)
			}
		}
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		late := time.After(4 * patience) // every run is trusted for a minute after a start
		for !acted(two, active, lost, canceled) {
			select {
			case <-tick.C:
			case <-late:
				t.Fatalf("the activated copy did not act:\n%s\n%s", two.get("/api/v1/runs"), two.stderr)
			}
		}
		if n := still.count(); n != 0 {
			t.Errorf("the restored copy sent %d messages", n)
		}
		if n := len(one.runs("ended")); n != 3 {
			t.Errorf("the restored copy kept %d of 3 ended runs", n)
		}
		for _, id := range []string{lost, canceled} {
			if r, known := one.find(id); !known || r.State.Terminal() {
				t.Errorf("the restored copy says of %s: %s", id, r.State)
			}
		}
		var ready struct {
			Status   string
			CopiedAt *time.Time `json:"copied_at"`
		}
		if err := json.Unmarshal(one.get("/readyz"), &ready); err != nil || ready.Status != "restored copy" || ready.CopiedAt == nil {
			t.Errorf("readyz of the restored copy: %+v, %v", ready, err)
		}
		if !strings.Contains(string(one.get("/api/v1/me")), `"copied_at"`) || !strings.Contains(one.stderr.String(), "RESTORED COPY") {
			t.Errorf("neither the page nor the log says it:\n%s", one.stderr)
		}
		resp, err := http.Post(one.url+"/api/v1/routes/hook/test", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusConflict || still.count() != 0 {
			t.Errorf("a test message of the restored copy: HTTP %d, %d messages", resp.StatusCode, still.count())
		}
		if r := a.run("delete", "--server", one.url, "--yes", "ended#1"); r.code != 0 {
			t.Fatalf("%+v", r)
		}
		eventually(t, "the bytes of a run that was deleted on the copy are erased", func() bool {
			return strings.Contains(one.stderr.String(), "deleted runs are erased")
		})
		if strings.Contains(string(two.get("/readyz")), "restored") || strings.Contains(string(s.get("/readyz")), "restored") {
			t.Error("an original says that it is a copy")
		}
		// Activated once, it stays so.
		two.stop()
		two.start("--allow-private-targets")
		if strings.Contains(two.stderr.String(), "RESTORED") {
			t.Errorf("after a restart: %s", two.stderr)
		}
	})
}

// receiver counts the messages that it takes.
type receiver struct{ n atomic.Int64 }

func (r *receiver) ServeHTTP(http.ResponseWriter, *http.Request) { r.n.Add(1) }

func (r *receiver) count() int64 { return r.n.Load() }

// acted reports whether a server did everything that the backup asks for.
func acted(s *server, messages *receiver, lost, canceled string) bool {
	l, known := s.find(lost)
	c, _ := s.find(canceled)
	return known && l.State == job.Lost && c.State == job.Canceled && messages.count() > 0 && len(s.runs("ended")) == 1
}

// runs are the runs of a job.
func (s *server) runs(name string) []job.Run {
	var page struct{ Runs []job.Run }
	if err := json.Unmarshal(s.get("/api/v1/runs?job="+name), &page); err != nil {
		s.t.Fatal(err)
	}
	return page.Runs
}

// stopped begins a run whose agent is then stopped by a signal, and returns its id.
func (h *host) stopped(s *server, name string) string {
	h.t.Helper()
	cmd := h.command(stint, "run", "--server", s.url, "--job", name, "--", "sleep", "600")
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() {
		// Not killed: its watcher would still be at work in the directory that is removed.
		_ = cmd.Process.Signal(syscall.SIGCONT) // Wait says what became of it
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
	var id string
	eventually(h.t, name+" runs", func() bool {
		for _, r := range s.runs(name) {
			if r.State == job.Running {
				id = r.ID
			}
		}
		return id != ""
	})
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		h.t.Fatal(err)
	}
	return id
}

// copies makes two copies of a server's data: with the embedded database by a backup while
// it works. The server is ready again when it returns.
func copies(t *testing.T, s *server) (one, two *server) {
	t.Helper()
	one, two = &server{t: t, url: "http://" + freeAddress(t)}, &server{t: t, url: "http://" + freeAddress(t)}
	if s.database != "" {
		s.stop()
		one.database, two.database = postgrestest.Copy(t, s.database), postgrestest.Copy(t, s.database)
		for _, c := range []*server{one, two} {
			c.host = newHost(t)
			c.takeSecretKey(s)
		}
		s.start("--allow-private-targets")
	} else {
		dir := t.TempDir()
		one.data, two.data = filepath.Join(dir, "one"), filepath.Join(dir, "two")
		for _, c := range []*server{one, two} {
			if r := newHost(t).run("server", "backup", "--data", s.data, c.data); r.code != 0 {
				t.Fatalf("%+v", r)
			}
		}
	}
	for _, c := range []*server{one, two} {
		t.Cleanup(func() {
			if c.cmd != nil {
				c.stop()
			}
		})
	}
	return one, two
}
