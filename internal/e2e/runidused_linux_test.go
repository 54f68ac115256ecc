package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"stint.dev/stint/job"
)

// ownRuns returns the runs that are recorded under ids of their own, because their id was that of a run.
func (s *server) ownRuns(a asker, id string) (lines []string) {
	s.t.Helper()
	got := a.run("runs", "--label", "id_taken="+id, "--json", "--all")
	if got.code != 0 {
		s.t.Fatalf("%+v", got)
	}
	for _, line := range strings.Split(strings.TrimSpace(got.stdout), "\n") {
		if strings.Contains(line, `"id_taken"`) {
			lines = append(lines, line)
		}
	}
	return lines
}

// Every further start with the id of a run that has ended is recorded as a run of its own, with all its attempts, also when
// the server was away meanwhile, and once where its state directory was copied.
func TestRunIDUsedAgain(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		id := uuid.NewString()
		a := asker{newHost(t), s.url}
		wantResult(t, a.run("run", "--run-id", id, "--job", "requeued", "--", "echo", "first"), 0)
		script := func(text string) []string { return []string{"--", "sh", "-c", text} }
		again := append([]string{"run", "--run-id", id, "--job", "requeued", "--label", "zone=fra"}, script("echo again; exit 3")...)
		wantResult(t, a.run(again...), 3, "is that of another run", "id_taken="+id)
		wantResult(t, asker{newHost(t), s.url}.run(again...), 3, "is that of another run")
		wantResult(t, a.run(append([]string{"run", "--run-id", id, "--job", "requeued", "--retries", "1", "--retry-backoff", "1ms"}, script("echo $STINT_ATTEMPT; exit 4")...)...), 4, "id_taken="+id)
		wantResult(t, a.run("flush"), 0, "nothing waits")
		for n, want := range map[int]struct {
			attempt int
			log     string
		}{1: {1, "first\n"}, 2: {1, "again\n"}, 3: {1, "again\n"}, 4: {2, "2\n"}} {
			name := fmt.Sprintf("requeued#%d", n)
			run, _ := s.find(name)
			if text := string(s.log(name, "")); (run.ID == id) != (n == 1) || run.Attempt != want.attempt || text != want.log || !run.State.Terminal() {
				t.Errorf("%s is %s, %s in attempt %d, with log %q", name, run.ID, run.State, run.Attempt, text)
			}
		}

		away := asker{newHost(t), "http://127.0.0.1:1"}
		wantResult(t, away.run(append([]string{"run", "--run-id", id, "--job", "away", "--retries", "1", "--retry-backoff", "1ms"}, script("echo $STINT_ATTEMPT; exit 5")...)...), 5)
		copied := newHost(t)
		if err := os.CopyFS(filepath.Join(copied.state, "spool"), os.DirFS(filepath.Join(away.state, "spool"))); err != nil {
			t.Fatal(err)
		}
		for _, h := range []*host{away.host, copied} {
			wantResult(t, asker{h, s.url}.run("flush", "--any"), 0, "delivered as run", "because its id is that of another run", "attempt 2")
			wantResult(t, asker{h, s.url}.run("flush", "--any"), 0, "nothing waits")
		}
		if run, _ := s.find("away#1"); run.Attempt != 2 || run.State != job.Failed {
			t.Errorf("%+v", run)
		}
		if lines := s.ownRuns(a, id); len(lines) != 4 {
			t.Errorf("%d runs of their own: %q", len(lines), lines)
		}
	})
}

// The journal of an agent that was killed is not mixed with that of another run with its id, whose agent was killed too and
// whose journal another process has completed.
func TestRunIDUsedOfAgentsThatWereKilled(t *testing.T) {
	s := startServer(t)
	id := uuid.NewString()
	killed := func(a asker, name string) {
		started := filepath.Join(a.state, "started")
		cmd := a.command("run", "--run-id", id, "--job", name, "--", "sh", "-c", "echo of "+name+"; touch "+started+"; exec sleep 60")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the job runs", func() bool { _, err := os.Stat(started); return err == nil })
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait() // it was killed
		a.awaitWatchers()
	}
	first := asker{newHost(t), s.url}
	killed(first, "first")
	first.run("flush", "--any")
	if run := s.ended("first#1"); run.ID != id || run.State != job.Lost {
		t.Fatalf("%+v", run)
	}
	before := s.get("/api/v1/runs/" + id + "/attempts/1/journal")

	away := asker{newHost(t), "http://127.0.0.1:1"}
	killed(away, "other")
	wantResult(t, asker{away.host, s.url}.run("flush", "--any"), 0, "delivered as run")
	if run, _ := s.find("other#1"); run.State != job.Lost || run.ID == id || run.Labels["id_taken"] != id {
		t.Errorf("%+v", run)
	}
	if text := string(s.log("other#1", "")); text != "of other\n" {
		t.Errorf("its log is %q", text)
	}
	third := asker{newHost(t), s.url}
	wantResult(t, third.run("run", "--run-id", id, "--job", "third", "--", "true"), 0, "id_taken="+id)
	if after := s.get("/api/v1/runs/" + id + "/attempts/1/journal"); string(after) != string(before) {
		t.Errorf("the journal of the first had %d bytes, and has %d", len(before), len(after))
	}
}
