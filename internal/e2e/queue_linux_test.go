package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// asker runs stint against a server.
type asker struct {
	*host
	url string
}

func (a asker) command(args ...string) *exec.Cmd {
	cmd := a.host.command(stint, args...)
	cmd.Env = append(cmd.Env, "STINT_SERVER="+a.url)
	return cmd
}

func (a asker) run(args ...string) result {
	a.t.Helper()
	return finish(a.t, a.command(args...))
}

// startWorker starts a worker on a host. It ends with the test, and so do its agents, by themselves.
func startWorker(t *testing.T, h *host, url, name string, args ...string) *exec.Cmd {
	t.Helper()
	messages, err := os.OpenFile(filepath.Join(h.state, "messages"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	cmd := exec.Command(stintAgent, append([]string{"worker", "run", "--server", url, "--name", name}, args...)...)
	cmd.Env, cmd.Stderr = h.environment(), messages
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait() // it was killed
		}
		if text, err := os.ReadFile(filepath.Join(h.state, "messages")); err == nil && t.Failed() {
			t.Logf("worker %s and its agents printed:\n%s", name, text)
		}
	})
	return cmd
}

// submitted returns the run that a command with --json printed.
func submitted(t *testing.T, r result) (run job.Run) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.stdout), &run); err != nil || run.ID == "" {
		t.Fatalf("%+v: %v", r, err)
	}
	return run
}

const dayYAML = `job: report
script: |
  echo "the day is $DAY"
  exit $CODE
parameters:
  - {name: DAY, type: date, default: yesterday}
  - {name: CODE, type: integer, default: "0"}
`

// A run that is submitted waits for a worker, runs there with its values, and its exit code comes
// back to the command that waits.
func TestSubmitToAWorker(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		a := asker{newHost(t), s.url}
		wantResult(t, a.run("apply", filepath.Join(writeFiles(t, "report.yaml", dayYAML), "report.yaml")), 0, "created")

		wantResult(t, a.run("submit", "report"), 0, "report#1  queued", "No worker is connected")
		wantResult(t, a.run("queue"), 0, "report#1", "No worker is connected")
		wantResult(t, a.run("explain", "report#1"), 0, "no_worker")
		wantResult(t, a.run("show", "report#1"), 0, "queued", "submitted", "CODE=0")
		wantResult(t, a.run("logs", "report#1"), 0, "report#1 has not started: it has no log yet")

		h := newHost(t)
		startWorker(t, h, s.url, "w1", "--slots", "2")
		wantResult(t, a.run("wait", "report"), 0)
		wantResult(t, a.run("worker", "list"), 0, "w1", "ready")

		got := a.run("submit", "report", "--param", "DAY=2026-11-27", "--param", "CODE=3", "--follow")
		wantResult(t, got, 3, "report#2")
		if got.stdout != "the day is 2026-11-27\n" {
			t.Errorf("it printed %q", got.stdout)
		}
		run, _ := s.find("report#2")
		if run.State != job.Failed || run.Attempt != 1 || run.Submitted == nil || run.Submitted.Worker != "w1" || run.Submitted.Parameters["CODE"] != "3" {
			t.Errorf("%+v, %+v", run, run.Submitted)
		}
		if text := string(s.log("report#2", "")); text != "the day is 2026-11-27\n" {
			t.Errorf("its log is %q", text)
		}

		wantResult(t, a.run("submit", "report", "--param", "DAY=never"), 2, "DAY")
		wantResult(t, a.run("submit", "report", "--param", "NIGHT=1"), 2, "NIGHT")
		wantResult(t, a.run("submit", "none"), 1, "none")

		first := submitted(t, a.run("submit", "report", "--key", "order 7", "--json"))
		again := submitted(t, a.run("submit", "report", "--key", "order 7", "--json"))
		if first.ID != again.ID || first.Number != again.Number || first.ID != job.RunIDForKey("report", "order 7") {
			t.Errorf("the same key made %s#%d and %s#%d", first.ID, first.Number, again.ID, again.Number)
		}
		wantResult(t, a.run("submit", "report", "--key", "order 7", "--param", "CODE=1"), 1, "report#3")
		wantResult(t, a.run("wait", first.ID), 0)
		got = a.run("submit", "--again", "report#2", "--param", "CODE=5", "--follow")
		if wantResult(t, got, 5, "report#4"); got.stdout != "the day is 2026-11-27\n" {
			t.Errorf("it printed %q", got.stdout)
		}

		// A command needs a worker that takes commands.
		wantResult(t, a.run("submit", "--job", "ad-hoc", "--", "true"), 0, "ad-hoc#1  queued", "The only worker cannot take it")
		wantResult(t, a.run("cancel", "ad-hoc#1"), 0, "ad-hoc#1 has ended: canceled")
		wantResult(t, a.run("wait", "ad-hoc#1"), 125, "ad-hoc#1 never started")
		startWorker(t, newHost(t), s.url, "w2", "--allow-commands", "--label", "zone=fra")
		got = a.run("submit", "--job", "ad-hoc", "--require", "zone=fra", "--env", "A=b", "--dir", "/", "--follow", "--", "sh", "-c", "echo $A $PWD; exit 7")
		if wantResult(t, got, 7); got.stdout != "b /\n" {
			t.Errorf("it printed %q", got.stdout)
		}
		wantResult(t, a.run("show", "ad-hoc"), 0, "ad-hoc#2")
		wantResult(t, a.run("logs", "ad-hoc"), 0)
		wantResult(t, a.run("cancel", "ad-hoc"), 1, "job ad-hoc has no run that has not ended: the last one, ad-hoc#2, is failed")
		wantResult(t, a.run("show", "ad-hoc@failed"), 0, "ad-hoc#2")
		wantResult(t, a.run("show", "ad-hoc@canceled"), 0, "ad-hoc#1")
		wantResult(t, a.run("show", "ad-hoc#-2"), 0, "ad-hoc#1")
		wantResult(t, a.run("logs", "ad-hoc#2.1"), 0)
		wantResult(t, a.run("logs", "ad-hoc#2", "--attempt", "2"), 1, "ad-hoc#2 has no attempt 2: it has 1 attempt")
		wantResult(t, a.run("explain", "ad-hoc#2.1"), 2, "names attempt 1")
		wantResult(t, a.run("show", "ad-hoc@lost"), 1, "no run of the job is lost")
		wantResult(t, a.run("wait", "report#1", "ad-hoc@failed", "ad-hoc@canceled"), 7)
		wantResult(t, a.run("wait", "report#1", "ad-hoc@canceled", "ad-hoc@failed"), 125)
		wantResult(t, a.run("events", "ad-hoc@failed"), 0, "Attempt 1 began", "failed")
		wantResult(t, a.run("retry", "ad-hoc"), 0, "ad-hoc#2 is ")
	})
}

// What keeps a run waiting is shown, and opens.
func TestGatesOfTheQueue(t *testing.T) {
	s := startServer(t)
	a := asker{newHost(t), s.url}
	h := newHost(t)
	startWorker(t, h, s.url, "w1", "--slots", "4")
	dir := writeFiles(t, "wait.yaml", "job: wait\nscript: |\n  while [ ! -e $FILE ]; do sleep 0.05; done\nparameters: [{name: FILE, type: text}]\ngroup: db\n", "quick.yaml", "job: quick\nscript: exit 0\n")
	wantResult(t, a.run("apply", dir), 0, "created")
	wantResult(t, a.run("group", "set", "db", "--limit", "1"), 0, "db has the limit 1")

	file := filepath.Join(t.TempDir(), "go")
	one := submitted(t, a.run("submit", "wait", "--param", "FILE="+file, "--json"))
	eventually(t, "the first run is running", func() bool { r, _ := s.find(one.ID); return r.State == job.Running })
	wantResult(t, a.run("submit", "wait", "--param", "FILE="+file), 0, "wait#2  queued", "The group db has 1 of 1 places taken, by wait#1")
	wantResult(t, a.run("group", "list"), 0, "db")
	wantResult(t, a.run("submit", "quick", "--after", "wait#2"), 0, "quick#1  queued", "Waits until wait#2 has succeeded")
	wantResult(t, a.run("submit", "quick", "--delay", "1h"), 0, "quick#2  queued")
	wantResult(t, a.run("explain", "quick#2"), 0, "not_before")
	wantResult(t, a.run("cancel", "quick#2"), 0, "canceled")
	wantResult(t, a.run("queue", "move", "wait#2", "--priority", "high"), 0, "wait#2 has the priority high")
	wantResult(t, a.run("submit", "quick", "--after", "quick#2"), 2, "can never be met")

	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantResult(t, a.run("wait", "wait#2"), 0)
	wantResult(t, a.run("wait", "quick#1"), 0)

	wantResult(t, a.run("job", "pause", "quick", "--why", "broken"), 0)
	wantResult(t, a.run("submit", "quick"), 0, "paused")
	wantResult(t, a.run("job", "resume", "quick"), 0)
	wantResult(t, a.run("wait", "quick"), 0)

	wantResult(t, a.run("worker", "drain", "w1", "--reason", "new disk"), 0, "w1 gets no more runs")
	wantResult(t, a.run("worker", "list"), 0, "draining: new disk")
	wantResult(t, a.run("submit", "quick", "--priority", "low"), 0, "queued")
	wantResult(t, a.run("worker", "resume", "w1"), 0, "gets runs again")
	wantResult(t, a.run("wait", "quick"), 0)
	wantResult(t, a.run("worker", "drain", "none"), 1, "none")
}

// waiting is a command that waits for a submitted run, which runs until end is called.
type waiting struct {
	asker
	cmd      *exec.Cmd
	messages *written
	end      func() // the run ends with exit code 4
}

func startWaiting(t *testing.T, s *server) *waiting {
	t.Helper()
	a := asker{newHost(t), s.url}
	startWorker(t, newHost(t), s.url, "w1", "--allow-commands")
	file := filepath.Join(t.TempDir(), "go")
	w := &waiting{asker: a, messages: &written{}, end: func() {
		t.Helper()
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}}
	w.cmd = a.command("submit", "--job", "long", "--wait", "--", "sh", "-c", "while [ ! -e "+file+" ]; do sleep 0.05; done; exit 4")
	w.cmd.Stderr = w.messages
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run is reported as running", func() bool { return strings.Contains(w.messages.String(), "long#1 is running") })
	return w
}

// ended waits for the command to end, with an exit code.
func (w *waiting) ended(code int) {
	w.t.Helper()
	done := make(chan struct{})
	go func() { defer close(done); _ = w.cmd.Wait() }() // its exit code is below
	select {
	case <-done:
	case <-time.After(patience):
		w.t.Fatalf("it still waits: %s", w.messages)
	}
	if got := w.cmd.ProcessState.ExitCode(); got != code {
		w.t.Errorf("exit code %d, want %d: %s", got, code, w.messages)
	}
}

// Ctrl-C ends the waiting, and not the run.
func TestDetachFromARun(t *testing.T) {
	w := startWaiting(t, startServer(t))
	if err := w.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if w.ended(130); !strings.Contains(w.messages.String(), "stint cancel ") {
		t.Errorf("it says %s", w.messages)
	}
	w.end()
	wantResult(t, w.run("wait", "long#1"), 4)
}

// The server is away while somebody waits, and comes back.
func TestWaitAcrossARestartOfTheServer(t *testing.T) {
	s := startServer(t)
	w := startWaiting(t, s)
	s.kill()
	w.end()
	s.start()
	w.ended(4)
}

// A run whose host is frozen starts again with another worker, once, and keeps the exit code of that attempt.
// When the host goes on, the first attempt is superseded and ends.
func TestRunStartsAgainElsewhere(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	a := asker{newHost(t), s.url}
	wantResult(t, a.run("apply", writeFiles(t, "slow.yaml", `job: slow
script: |
  echo start >> $STARTS
  [ $(wc -l < $STARTS) = 1 ] || exit 5
  while :; do sleep 0.1; done
parameters: [{name: STARTS, type: text}]
retries: {limit: 1, backoff: 1s, on: [agent_lost]}
`)), 0, "created")
	first := startWorker(t, newHost(t), s.url, "w1")
	starts := filepath.Join(t.TempDir(), "starts")
	run := submitted(t, a.run("submit", "slow", "--param", "STARTS="+starts, "--json"))
	eventually(t, "the first attempt has started", func() bool { text, _ := os.ReadFile(starts); return string(text) == "start\n" })
	eventually(t, "it is running", func() bool { r, _ := s.find(run.ID); return r.State == job.Running })

	frozen := append(agentsOf(t, run.ID), first.Process.Pid)
	signal := func(which syscall.Signal) {
		for _, pid := range frozen {
			if err := syscall.Kill(pid, which); err != nil && err != syscall.ESRCH { // at the end it is gone
				t.Error(err)
			}
		}
	}
	signal(syscall.SIGSTOP)
	defer signal(syscall.SIGCONT)
	startWorker(t, newHost(t), s.url, "w2")
	wantResult(t, a.run("wait", run.ID), 5, "slow#1 is failed")
	got, _ := s.find(run.ID)
	if text, err := os.ReadFile(starts); err != nil || string(text) != "start\nstart\n" || got.Attempt != 2 || got.Submitted.Worker != "w2" {
		t.Errorf("attempt %d of worker %s, after %q: %v", got.Attempt, got.Submitted.Worker, text, err)
	}

	signal(syscall.SIGCONT)
	eventually(t, "the first attempt has ended", func() bool { return len(agentsOf(t, run.ID)) == 0 })
	if r, _ := s.find(run.ID); r.Attempt != 2 || r.State != job.Failed {
		t.Errorf("it is %s in attempt %d", r.State, r.Attempt)
	}
}

// A job that is started by hand with the id of a submitted run runs, and is recorded as a run of its own; the submitted run
// waits on.
func TestJobWithTheIDOfASubmittedRun(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		a := asker{newHost(t), s.url}
		first := submitted(t, a.run("submit", "--job", "ad-hoc", "--json", "--", "true"))
		got := a.run("run", "--run-id", first.ID, "--job", "by-hand", "--label", "zone=fra", "--", "sh", "-c", "echo by hand; exit 3")
		wantResult(t, got, 3, "is that of another run", "id_taken="+first.ID)
		if got.stdout != "by hand\n" {
			t.Errorf("it printed %q", got.stdout)
		}
		wantResult(t, a.run("runs", "--label", "id_taken="+first.ID), 0, "by-hand#1")
		run, _ := s.find("by-hand#1")
		if run.ID == first.ID || run.State != job.Failed || run.Labels["zone"] != "fra" || run.Submitted != nil {
			t.Errorf("%+v", run)
		}
		if text := string(s.log("by-hand#1", "")); text != "by hand\n" {
			t.Errorf("its log is %q", text)
		}
		if run, _ := s.find(first.ID); run.State != job.Queued || run.Attempt != 0 || run.Job != "ad-hoc" {
			t.Errorf("the submitted run: %+v", run)
		}
		wantResult(t, a.run("flush"), 0, "nothing waits")

		// The same for one whose agent could not reach the server: flush does it.
		away := asker{newHost(t), s.url}
		cmd := away.host.command(stint, "run", "--server", "http://127.0.0.1:1", "--run-id", first.ID, "--job", "by-hand", "--", "true")
		wantResult(t, finish(t, cmd), 0)
		wantResult(t, away.run("flush", "--any"), 0, "delivered as run", "because its id is that of another run")
		wantResult(t, a.run("runs", "--label", "id_taken="+first.ID), 0, "by-hand#1", "by-hand#2")
	})
}
