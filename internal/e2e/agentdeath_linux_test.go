package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// mortalAgent is a stint run that a test kills, as root or as another user.
type mortalAgent struct {
	cmd   *exec.Cmd
	spool string
}

func startMortal(t *testing.T, s *server, asAnother bool, args ...string) *mortalAgent {
	t.Helper()
	h := newHost(t)
	program := filepath.Join(t.TempDir(), "stint-agent")
	words, state := []string{}, h.state
	if asAnother {
		words, program = asOther(t, "STINT_TOKEN="+s.token("agent"))
		state = strings.TrimPrefix(words[len(words)-1], "STINT_STATE=")
	} else {
		copyProgram(t, stintAgent, program)
	}
	words = append(append(words[:len(words):len(words)], program, "run", "--quiet", "--server", s.url), args...)
	a := &mortalAgent{cmd: h.command(words[0], words[1:]...), spool: filepath.Join(state, "spool")}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// An upgrade of the program makes no difference to agents that run already.
	eventually(t, "the agent runs", func() bool {
		entries, err := os.ReadDir(a.spool)
		return err == nil && len(entries) > 0
	})
	if err := os.Rename(program, program+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(program + ".old"); err != nil {
		t.Fatal(err)
	}
	return a
}

func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// watched waits until the agent has a watcher.
func (a *mortalAgent) watched(t *testing.T) {
	t.Helper()
	eventually(t, "the agent has a watcher", func() bool {
		all, _ := filepath.Glob("/proc/[0-9]*/stat")
		for _, file := range all {
			stat, err := os.ReadFile(file)
			_, rest, _ := strings.Cut(string(stat), ") ")
			fields := strings.Fields(rest)
			if err != nil || len(fields) < 2 || fields[1] != strconv.Itoa(a.cmd.Process.Pid) {
				continue
			}
			cmdline, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
			if err == nil && strings.Contains(string(cmdline), "\x00stint-watcher\x00") {
				return true
			}
		}
		return false
	})
}

func (a *mortalAgent) kill(t *testing.T) {
	t.Helper()
	if err := a.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = a.cmd.Wait() // it was killed, which is an error here
}

// delivered waits until the spool is empty.
func (a *mortalAgent) delivered(t *testing.T) {
	t.Helper()
	eventually(t, "nothing waits in the spool", func() bool {
		left, err := os.ReadDir(a.spool)
		return err == nil && len(left) == 0
	})
}

// complete waits until a run has ended and the server has all of it.
func (s *server) complete(ref string) job.Run {
	s.t.Helper()
	s.ended(ref)
	var r job.Run
	eventually(s.t, "the log of "+ref+" is complete", func() bool {
		r, _ = s.find(ref)
		return r.Output.Complete
	})
	return r
}

// The watcher of an agent that dies delivers its journal, with the last output and the
// outcome, for every user and although its program is gone.
func TestWatcherDeliversForADeadAgent(t *testing.T) {
	s := startServer(t)
	for _, c := range []struct {
		name      string
		asAnother bool
		args      []string
	}{
		{"command", false, []string{"--", "sh", "-c", "echo the last words; (setsid sleep 1000 &); exec sleep 1000"}},
		{"other", true, []string{"--", "sh", "-c", "echo the last words; (setsid sleep 1000 &); exec sleep 1000"}},
		{"install", false, []string{"--install", "echo the last words; sleep 1000", "--", "true"}},
		{"groupless", false, []string{"--containment", "process-group", "--", "sh", "-c", "echo the last words; (setsid sleep 1000 &); exec sleep 1000"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ref := c.name + "#1"
			a := startMortal(t, s, c.asAnother, append([]string{"--job", c.name}, c.args...)...)
			eventually(t, "the output has arrived", func() bool {
				r, known := s.find(ref)
				return known && r.Output.Bytes > 0
			})
			a.watched(t)
			killed := time.Now()
			a.kill(t)
			r := s.complete(ref)
			if r.State != job.Lost || r.Outcome == nil || r.Outcome.Reason != job.AgentLost {
				t.Errorf("the run is %s, %+v", r.State, r.Outcome)
			}
			if step := r.Steps[len(r.Steps)-1]; r.EndedAt == nil || r.EndedAt.Before(killed) || step.EndedAt == nil || !step.EndedAt.Equal(*r.EndedAt) {
				t.Errorf("killed at %s; the run ended at %v and its step at %v", killed, r.EndedAt, step.EndedAt)
			}
			if log := s.log(r.ID, ""); string(log) != "the last words\n" {
				t.Errorf("log %q", log)
			}
			a.delivered(t)
			eventually(t, "no process is left", func() bool {
				return exec.Command("sh", "-c", "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep -qx STINT_RUN_ID="+r.ID).Run() != nil
			})
		})
	}
}

// An agent that dies while it delivers is covered as well, and what the job left on purpose
// lives on.
func TestWatcherDeliversWhenTheJobHasEnded(t *testing.T) {
	s := startServer(t)
	sign := filepath.Join(t.TempDir(), "end")
	a := startMortal(t, s, false, "--job", "ended", "--keep-background", "--", "sh", "-c",
		`setsid sleep 1000 >/dev/null 2>&1 & echo $!; while [ ! -e "$0" ]; do sleep 0.02; done; exit 3`, sign)
	eventually(t, "the output has arrived", func() bool {
		r, known := s.find("ended#1")
		return known && r.Output.Bytes > 0
	})
	a.watched(t)
	if err := s.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the outcome is in the journal", func() bool {
		journals, _ := filepath.Glob(filepath.Join(a.spool, "*", "journal"))
		if len(journals) != 1 {
			return false
		}
		text, err := os.ReadFile(journals[0])
		return err == nil && strings.Count(string(text), "Exited with code 3") == 2 // the step's end has it too
	})
	a.kill(t)
	if err := s.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	r := s.complete("ended#1")
	wantEnd(t, r, job.Failed, job.ExitCode, 3)
	a.delivered(t)
	left, err := strconv.Atoi(strings.TrimSpace(string(s.log(r.ID, ""))))
	if err != nil || syscall.Kill(left, 0) != nil {
		t.Errorf("what was left on purpose is gone: pid %d, %v", left, err)
	}
	if err == nil {
		_ = syscall.Kill(left, syscall.SIGKILL)
	}
}

// With no server the journal of a dead agent waits for it, and is there once.
func TestWatcherWaitsForTheServer(t *testing.T) {
	s := startServer(t)
	a := startMortal(t, s, false, "--job", "away", "--", "sh", "-c", "echo the last words; exec sleep 1000")
	eventually(t, "the output has arrived", func() bool {
		r, known := s.find("away#1")
		return known && r.Output.Bytes > 0
	})
	a.watched(t)
	s.kill()
	a.kill(t)
	s.start()
	r := s.complete("away#1")
	if r.State != job.Lost || r.Outcome == nil || r.Outcome.Reason != job.AgentLost || string(s.log(r.ID, "")) != "the last words\n" {
		t.Errorf("the run is %s, %+v", r.State, r.Outcome)
	}
	a.delivered(t)
	if _, second := s.find("away#2"); second {
		t.Error("delivered twice")
	}
}
