package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestExitCodeAndOutput(t *testing.T) { onBothDatabases(t, checkExitCodeAndOutput) }

func checkExitCodeAndOutput(t *testing.T, s *server) {
	h := newHost(t)
	got := h.run("run", "--server", s.url, "--", "sh", "-c", "echo out; echo err >&2; exit 3")
	if got.code != 3 || got.stdout != "out\n" || got.stderr != "err\n" {
		t.Errorf("stint run: %+v", got)
	}
	r := s.ended("sh#1")
	wantEnd(t, r, job.Failed, job.ExitCode, 3)
	if log := s.log(r.ID, "?stream=stdout"); string(log) != "out\n" {
		t.Errorf("stdout on the server: %q", log)
	}
	if log := s.log(r.ID[:13], "?stream=stderr"); string(log) != "err\n" {
		t.Errorf("stderr on the server: %q", log)
	}
	if got := h.run("logs", "--server", s.url, "--stream", "stdout", "sh#1"); got.code != 0 || got.stdout != "out\n" {
		t.Errorf("stint logs: %+v", got)
	}
}

func TestInstallThenCommand(t *testing.T) { onBothDatabases(t, checkInstallThenCommand) }

func checkInstallThenCommand(t *testing.T, s *server) {
	h := newHost(t)
	dir := t.TempDir()
	got := h.run("run", "--server", s.url, "--job", "steps", "--dir", dir, "--label", "team=a",
		"--install", "echo one > a", "--install", "cp a b; echo installed", "-c", "cat b; pwd")
	if got.code != 0 || got.stdout != "installed\none\n"+dir+"\n" {
		t.Errorf("stint run: %+v", got)
	}
	r := s.ended("steps#1")
	wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
	if len(r.Steps) != 3 || r.Steps[0].Kind != job.InstallStep || r.Steps[2].Kind != job.CommandStep || r.Labels["team"] != "a" {
		t.Errorf("steps %+v, labels %v", r.Steps, r.Labels)
	}
	got = h.run("run", "--server", s.url, "--job", "steps", "--install", "exit 7", "--", "touch", filepath.Join(dir, "never"))
	if got.code != 7 {
		t.Errorf("failed install: %+v", got)
	}
	wantEnd(t, s.ended("steps#2"), job.Failed, job.InstallFailed, 7)
	if _, err := os.Stat(filepath.Join(dir, "never")); err == nil {
		t.Error("the command ran although its install step had failed")
	}
}

func TestRandomBytesArriveWhole(t *testing.T) { onBothDatabases(t, checkRandomBytesArriveWhole) }

func checkRandomBytesArriveWhole(t *testing.T, s *server) {
	h := newHost(t)
	data := make([]byte, 64<<20)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(data) // never fails
	file := filepath.Join(t.TempDir(), "random")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := h.run("run", "--server", s.url, "--quiet", "--", "cat", file); got.code != 0 || got.stdout != "" {
		t.Fatalf("stint run: code %d, %d bytes of stdout, %s", got.code, len(got.stdout), got.stderr)
	}
	r := s.ended("cat#1")
	wantEnd(t, r, job.Succeeded, job.ExitCode, 0)
	log := s.log(r.ID, "")
	if len(log) != len(data) || sha256.Sum256(log) != sha256.Sum256(data) {
		t.Errorf("%d bytes of %d arrived, or others", len(log), len(data))
	}
	if r.Output.Bytes != int64(len(data)) || !r.Output.Complete {
		t.Errorf("the server counts %d bytes, complete: %v", r.Output.Bytes, r.Output.Complete)
	}
}

// counter prints 1, 2, 3 … n, slowly enough to be interrupted.
func counter(n int) string {
	return fmt.Sprintf("i=0; while [ $i -lt %d ]; do i=$((i+1)); echo $i; sleep 0.04; done", n)
}

func counted(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintln(&b, i+1)
	}
	return b.String()
}

// The server is killed twice in the middle of a job; a follower and the log have every
// number once and in order.
func TestServerKilledInTheMiddle(t *testing.T) { onBothDatabases(t, checkServerKilledInTheMiddle) }

func checkServerKilledInTheMiddle(t *testing.T, s *server) {
	h := newHost(t)
	const n = 120
	run := h.command(stint, "run", "--server", s.url, "--job", "count", "--quiet", "-c", counter(n))
	var agentSays bytes.Buffer
	run.Stderr = &agentSays
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	has := func(line string) func() bool {
		return func() bool {
			_, known := s.find("count#1")
			return known && bytes.Contains(s.log("count#1", ""), []byte("\n"+line+"\n"))
		}
	}
	eventually(t, "10 has arrived", has("10"))
	follow := h.command(stint, "logs", "--server", s.url, "-f", "count#1")
	var followed, followSays bytes.Buffer
	follow.Stdout, follow.Stderr = &followed, &followSays
	if err := follow.Start(); err != nil {
		t.Fatal(err)
	}
	s.kill()
	s.start()
	eventually(t, "40 has arrived", has("40"))
	s.kill()
	s.start()
	if err := run.Wait(); err != nil {
		t.Errorf("stint run: %v: %s", err, agentSays.String())
	}
	wantEnd(t, s.ended("count#1"), job.Succeeded, job.ExitCode, 0)
	if log := s.log("count#1", ""); string(log) != counted(n) {
		t.Errorf("the log has %q", log)
	}
	if err := follow.Wait(); err != nil || followed.String() != counted(n) {
		t.Errorf("stint logs -f: %v, printed %q, on stderr %q", err, followed.String(), followSays.String())
	}
}

// With no server from beginning to end, the job is what it would have been, one line says
// where the journal waits, and it arrives later with the true times.
func TestNoServerThenFlush(t *testing.T) {
	for name, deliver := range map[string][]string{
		"flush": {"flush"},
		// The end of a run does not wait for the journals of others: this one's job does.
		"next run": {"run", "--job", "other", "--timeout", "1m", "-c", `while [ "$(ls "$STINT_STATE/spool" | wc -l)" -gt 1 ]; do sleep 0.1; done`},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t)
			s := &server{t: t, data: filepath.Join(t.TempDir(), "data"), url: "http://" + freeAddress(t)}
			before := time.Now()
			got := h.run("run", "--server", s.url, "--job", "alone", "--flush-timeout", "100ms", "-c", "echo out; sleep 0.3; exit 4")
			after := time.Now()
			if got.code != 4 || got.stdout != "out\n" {
				t.Errorf("stint run: %+v", got)
			}
			if strings.Count(got.stderr, "\n") != 1 || !strings.Contains(got.stderr, h.state) || !strings.Contains(got.stderr, "flush") {
				t.Errorf("want one line that says where the journal waits: %q", got.stderr)
			}
			s.start()
			t.Cleanup(s.stop)
			args := append([]string{deliver[0], "--server", s.url}, deliver[1:]...)
			if got := h.run(args...); got.code != 0 {
				t.Fatalf("stint %v: %+v", args, got)
			}
			r := s.ended("alone#1")
			wantEnd(t, r, job.Failed, job.ExitCode, 4)
			if r.StartedAt.Before(before) || r.EndedAt.After(after) || r.EndedAt.Sub(*r.StartedAt) < 300*time.Millisecond {
				t.Errorf("ran from %s to %s; the server says %s to %s", before, after, r.StartedAt, r.EndedAt)
			}
			if log := s.log(r.ID, ""); string(log) != "out\n" {
				t.Errorf("log %q", log)
			}
			left, err := filepath.Glob(filepath.Join(h.state, "spool", "*"))
			if err != nil || len(left) > 0 {
				t.Errorf("the spool still holds %v", left)
			}
		})
	}
}

// An agent that was killed leaves a journal that flush completes.
func TestAgentKilled(t *testing.T) {
	h := newHost(t)
	s := startServer(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "killed", "--", "sh", "-c", "echo begun; exec sleep 600")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the output has arrived", func() bool {
		r, known := s.find("killed#1")
		return known && r.Output.Bytes > 0
	})
	r, _ := s.find("killed#1")
	if err := run.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // it was killed, which is an error here
	if got := h.run("flush", "--server", s.url); got.code != 0 {
		t.Errorf("stint flush: %+v", got)
	}
	r = s.ended(r.ID)
	if r.State != job.Lost || r.Outcome == nil || r.Outcome.Reason != job.AgentLost {
		t.Errorf("the run is %s, %+v; want lost, agent_lost", r.State, r.Outcome)
	}
	pid := r.Steps[0].PID
	eventually(t, "the job does not outlive its agent", func() bool {
		return syscall.Kill(pid, 0) != nil
	})
}

func TestSignalToTheAgent(t *testing.T) {
	s, h := startServer(t), newHost(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "asked", "--", "sh", "-c", "echo begun; exec sleep 600")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job runs", func() bool {
		r, known := s.find("asked#1")
		return known && r.Output.Bytes > 0
	})
	if err := run.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // as the bare command, it dies of the signal
	if status := run.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("stint run: %v, want its death by SIGTERM", run.ProcessState)
	}
	if r := s.ended("asked#1"); r.State != job.Canceled || r.Outcome.Reason != job.AgentStopped || !r.Output.Complete {
		t.Errorf("the run is %s, %+v", r.State, r.Outcome)
	}
}

func TestCancel(t *testing.T) {
	s, h := startServer(t), newHost(t)
	run := h.command(stint, "run", "--server", s.url, "--job", "long", "--heartbeat-period", "200ms", "--", "sleep", "600")
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job runs", func() bool {
		r, _ := s.find("long#1")
		return r.State == job.Running
	})
	if got := h.run("cancel", "--server", s.url, "long#1"); got.code != 0 {
		t.Errorf("stint cancel: %+v", got)
	}
	_ = run.Wait() // its exit code is looked at below
	if code := run.ProcessState.ExitCode(); code != 143 {
		t.Errorf("stint run ended with %d", code)
	}
	if r := s.ended("long#1"); r.State != job.Canceled || r.Outcome.Reason != job.ByCancel {
		t.Errorf("the run is %s, %+v", r.State, r.Outcome)
	}
}

// A client that knows two calls only, here curl in a script, makes a real run.
func TestTwoCallWire(t *testing.T) {
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("curl is not here: install it to run this test")
	}
	s, h := startServer(t), newHost(t)
	script := `set -e
put() { curl -sS --fail -X PUT -o /dev/null "$@"; }
status() { put -H 'Content-Type: application/json' -d "{\"status\":\"$1\"}" "$URL/status"; }
status started
put "$URL/heartbeat"
put "$URL/heartbeat"
status "$END"`
	for end, want := range map[string]job.State{"completed": job.Succeeded, "failed": job.Failed} {
		cmd := h.command("sh", "-c", script)
		cmd.Env = append(cmd.Env, "URL="+s.url+"/compat/tiny-"+end, "END="+end)
		if got := finish(t, cmd); got.code != 0 {
			t.Fatalf("curl: %+v", got)
		}
		if r := s.ended("tiny-" + end + "#1"); r.State != want {
			t.Errorf("%s: the run is %s", end, r.State)
		}
	}
	// And the other way round, to such a server and to none at all.
	if got := h.run("run", "--report-to", s.url+"/compat/reported", "-c", "exit 5"); got.code != 5 {
		t.Errorf("--report-to: %+v", got)
	}
	if r := s.ended("reported#1"); r.State != job.Failed {
		t.Errorf("--report-to: the run is %s", r.State)
	}
	if got := h.run("run", "--flush-timeout", "100ms", "--report-to", "http://"+freeAddress(t)+"/x", "-c", "exit 6"); got.code != 6 {
		t.Errorf("--report-to nobody: %+v", got)
	}
}
