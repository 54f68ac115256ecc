package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// starts begins runs of one job that wait for a file.
type starts struct {
	h       *host
	s       *server
	dir     string
	overlap string
}

// script is what the job does: it says in the file "order" when it begins and ends, and waits for "go".
const script = `echo "$1 begins" >>order; while [ ! -e go ]; do sleep 0.02; done; echo "$1 ends" >>order`

func (o *starts) command(name string, options ...string) *exec.Cmd {
	args := append([]string{"run", "--server", o.s.url, "--job", "nightly", "--overlap", o.overlap}, options...)
	cmd := o.h.command(stintAgent, append(args, "--", "sh", "-c", script, "sh", name)...)
	cmd.Dir = o.dir
	cmd.Stderr = &bytes.Buffer{}
	return cmd
}

func (o *starts) begin(t *testing.T, cmd *exec.Cmd) *exec.Cmd {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// await waits until the job has printed something.
func (o *starts) await(t *testing.T, line string) {
	t.Helper()
	eventually(t, line, func() bool { return slices.Contains(o.order(), line) })
}

func (o *starts) order() []string {
	text, _ := os.ReadFile(filepath.Join(o.dir, "order")) // there is none before the first line
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

func (o *starts) letGo(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(o.dir, "go"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func ends(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return shellCode(cmd.ProcessState)
}

// hasNote reports whether a run has a note that begins like this.
func hasNote(r job.Run, begin string) bool {
	return slices.ContainsFunc(r.Notes, func(n string) bool { return strings.HasPrefix(n, begin) })
}

func newStarts(t *testing.T, overlap string) *starts {
	t.Helper()
	return &starts{h: newHost(t), s: startServer(t), dir: t.TempDir(), overlap: overlap}
}

func TestOverlapAllow(t *testing.T) {
	o := newStarts(t, "allow")
	first, second := o.begin(t, o.command("1")), o.begin(t, o.command("2"))
	o.await(t, "1 begins")
	o.await(t, "2 begins")
	o.letGo(t)
	if a, b := ends(t, first), ends(t, second); a != 0 || b != 0 {
		t.Errorf("they end with %d and %d", a, b)
	}
	if _, err := os.Stat(filepath.Join(o.h.state, "overlap")); err == nil {
		t.Error("a lock was taken")
	}
}

// A start that is skipped runs nothing and is no run; the run that goes on says so while it does.
func TestOverlapSkip(t *testing.T) {
	o := newStarts(t, "skip")
	first := o.begin(t, o.command("1"))
	o.await(t, "1 begins")
	second := o.command("2", "--install", "touch installed")
	if code := ends(t, o.begin(t, second)); code != 75 {
		t.Errorf("the second ends with %d", code)
	}
	r := o.runOnceKnown(t)
	if text := second.Stderr.(*bytes.Buffer).String(); !strings.HasPrefix(text, "stint-agent: job nightly was not started (--overlap skip): run "+r.ID+" has been running since ") ||
		!strings.HasSuffix(text, "(pid "+strconv.Itoa(first.Process.Pid)+")\n") || strings.Count(text, "\n") != 1 {
		t.Errorf("the second says %q", text)
	}
	note := "another start of the job was skipped at "
	eventually(t, "the note while the run goes on", func() bool { r, _ := o.s.find("nightly#1"); return hasNote(r, note) && r.State == job.Running })
	if got := o.h.run("show", "nightly#1", "--server", o.s.url); !strings.Contains(got.stdout, note) || !strings.Contains(got.stdout, "(pid "+strconv.Itoa(second.Process.Pid)+", user ") {
		t.Errorf("stint show: %s", got.stdout)
	}
	o.letGo(t)
	if code := ends(t, first); code != 0 {
		t.Errorf("the first ends with %d", code)
	}
	if code := ends(t, o.begin(t, o.command("3"))); code != 0 || !slices.Equal(o.order(), []string{"1 begins", "1 ends", "3 begins", "3 ends"}) {
		t.Errorf("the third ends with %d: %v", code, o.order())
	}
	if _, err := os.Stat(filepath.Join(o.dir, "installed")); err == nil {
		t.Error("an install step was run")
	}
	if _, known := o.s.find("nightly#3"); known {
		t.Error("the second is a run")
	}
}

func (o *starts) runOnceKnown(t *testing.T) (r job.Run) {
	t.Helper()
	eventually(t, "the run is known", func() (known bool) { r, known = o.s.find("nightly#1"); return known })
	return r
}

// A start that waits begins when the run before has ended, also when its agent was killed: no process of
// that one lives then. Its time limit does not count before.
func TestOverlapQueue(t *testing.T) {
	for _, how := range []string{"ends", "is killed"} {
		t.Run(how, func(t *testing.T) {
			o := newStarts(t, "queue")
			first := o.begin(t, o.command("1"))
			o.await(t, "1 begins")
			o.runOnceKnown(t) // so that it is number 1
			second := o.begin(t, o.command("2", "--timeout", "20s", "--stop-grace", "1ms"))
			tickets := filepath.Join(o.h.state, "overlap", "nightly-*.2")
			eventually(t, "the second waits", func() bool { all, _ := filepath.Glob(tickets); return len(all) == 1 })
			if how == "is killed" {
				if err := first.Process.Kill(); err != nil {
					t.Fatal(err)
				}
				ends(t, first)
				o.await(t, "2 begins")
				o.letGo(t)
			} else {
				o.letGo(t)
				ends(t, first)
			}
			if code := ends(t, second); code != 0 {
				t.Errorf("the second ends with %d: %s", code, second.Stderr)
			}
			want := []string{"1 begins", "1 ends", "2 begins", "2 ends"}
			if how == "is killed" {
				want = []string{"1 begins", "2 begins", "2 ends"}
			}
			if !slices.Equal(o.order(), want) {
				t.Errorf("the order is %v", o.order())
			}
			if r := o.s.ended("nightly#2"); r.State != job.Succeeded || !hasNote(r, "the start waited ") {
				t.Errorf("the second is %s with notes %q", r.State, r.Notes)
			}
		})
	}
}

// A signal ends a start that waits: it dies of the signal, and there is no run.
func TestOverlapQueueIsStopped(t *testing.T) {
	o := newStarts(t, "queue")
	first := o.begin(t, o.command("1"))
	o.await(t, "1 begins")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		second := o.begin(t, o.command("2"))
		tickets := filepath.Join(o.h.state, "overlap", "nightly-*.2")
		eventually(t, "the second waits", func() bool { all, _ := filepath.Glob(tickets); return len(all) == 1 })
		if err := second.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		ends(t, second)
		if status := second.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
			t.Errorf("%v: the second ends with %v: %s", sig, second.ProcessState, second.Stderr)
		}
		if text := second.Stderr.(*bytes.Buffer).String(); !strings.HasPrefix(text, "stint-agent: job nightly was not started: stopped while it waited for run ") {
			t.Errorf("%v: it says %q", sig, text)
		}
	}
	o.letGo(t)
	ends(t, first)
	o.s.ended("nightly#1")
	if _, known := o.s.find("nightly#2"); known {
		t.Error("a start that never ran is a run")
	}
}

// The lock is free when the job has ended, while the agent waits for a server that is away. What was skipped meanwhile is in
// the journal that is delivered later.
func TestOverlapWithoutServer(t *testing.T) {
	o := newStarts(t, "skip")
	first := o.begin(t, o.command("1", "--flush-timeout", "60s"))
	o.await(t, "1 begins")
	o.runOnceKnown(t)
	o.s.kill()
	if code := ends(t, o.begin(t, o.command("2"))); code != 75 {
		t.Errorf("the second ends with %d", code)
	}
	o.letGo(t)
	eventually(t, "the third starts", func() bool {
		return ends(t, o.begin(t, o.command("3", "--flush-timeout", "0s"))) == 0
	})
	if syscall.Kill(first.Process.Pid, 0) != nil {
		t.Error("the first does not wait for the server")
	}
	o.s.start()
	if code := ends(t, first); code != 0 {
		t.Errorf("the first ends with %d", code)
	}
	if r := o.s.ended("nightly#1"); !hasNote(r, "another start of the job was skipped at ") && !hasNote(r, "2 starts were skipped so far") {
		t.Errorf("notes %q", r.Notes)
	}
}

// Between two attempts the run keeps the lock.
func TestOverlapBetweenAttempts(t *testing.T) {
	o := newStarts(t, "skip")
	first := o.h.command(stintAgent, "run", "--server", o.s.url, "--job", "nightly", "--overlap", "skip", "--retries", "1", "--retry-backoff", "3s", "--no-stdin", "--", "sh", "-c", "[ $STINT_ATTEMPT = 2 ]")
	o.begin(t, first)
	eventually(t, "the run waits for its next attempt", func() bool { r, _ := o.s.find("nightly#1"); return r.State == job.Retrying })
	if code := ends(t, o.begin(t, o.command("2"))); code != 75 {
		t.Errorf("the second ends with %d", code)
	}
	if code := ends(t, first); code != 0 {
		t.Errorf("the first ends with %d", code)
	}
	if r := o.s.ended("nightly#1"); r.Attempt != 2 || !hasNote(r, "another start of the job was skipped at ") {
		t.Errorf("attempt %d has the notes %q", r.Attempt, r.Notes)
	}
}

// Under stint-sh a skipped start prints nothing that cron would mail, and the shell does not run the line instead.
// A wrong value keeps no line from running.
func TestOverlapUnderCron(t *testing.T) {
	o := newStarts(t, "skip")
	shell := cronShell(t, stintAgent)
	line := func(name string) string { return "cd " + o.dir + `; set ` + name + `; ` + script }
	env := []string{"STINT_OVERLAP=skip", "STINT_SERVER=" + o.s.url, "STINT_STATE=" + o.h.state, "STINT_JOB=nightly"}
	first := o.h.command(shell, "-c", line("1"))
	first.Env = append(first.Env, env...)
	o.begin(t, first)
	o.await(t, "1 begins")
	printed, end := asCron(t, o.h, shell, "", env, "-c", line("2"))
	if printed != "" || !end.Exited() || end.ExitStatus() != 75 {
		t.Errorf("the second prints %q and ends with %d", printed, end.ExitStatus())
	}
	env[0] = "STINT_OVERLAP=no"
	if printed, end := asCron(t, o.h, shell, "", env, "-c", "echo all the same"); printed != "all the same\n" || end.ExitStatus() != 0 {
		t.Errorf("with a wrong value: %q, %d", printed, end.ExitStatus())
	}
	o.letGo(t)
	if code := ends(t, first); code != 0 || !slices.Equal(o.order(), []string{"1 begins", "1 ends"}) {
		t.Errorf("the first ends with %d: %v", code, o.order())
	}
}

// A job that starts itself inside of its own run is refused, also through another job. The variable is not
// inherited by runs inside of a job.
func TestOverlapInside(t *testing.T) {
	o := newStarts(t, "queue")
	outer := func(script string) result {
		cmd := o.h.command(stint, "run", "--job", "nightly", "-c", script)
		cmd.Env = append(cmd.Env, "STINT_SERVER="+o.s.url, "STINT_OVERLAP=queue", "STINT="+stint)
		return finish(t, cmd)
	}
	for _, script := range []string{
		"$STINT run --job nightly --overlap queue -- echo wrong",
		"$STINT run --job nightly --overlap skip -- echo wrong",
		"$STINT run --job other -- $STINT run --job nightly --overlap queue -- echo wrong",
		"$STINT run --job other -- setsid -w $STINT run --job nightly --overlap queue -- echo wrong",
	} {
		if got := outer(script); got.code != 2 || got.stdout != "" || !strings.Contains(got.stderr, "job nightly is started inside of its own run ") {
			t.Errorf("%s: %+v", script, got)
		}
	}
	if got := outer("$STINT run --job nightly -- echo fine"); got.code != 0 || got.stdout != "fine\n" {
		t.Errorf("with the variable alone: %+v", got)
	}
}

// A state directory that does not answer keeps no job from running, and a line and a note report that there is no lock.
func TestOverlapOnADeadFileSystem(t *testing.T) {
	dir, _ := deadfs.Mount(t)
	s := startServer(t)
	h := &host{t: t, state: filepath.Join(dir, "state")}
	for _, overlap := range []string{"skip", "queue"} {
		got := h.run("run", "--server", s.url, "--job", overlap, "--overlap", overlap, "--", "sh", "-c", "echo out; exit 3")
		want := "the job starts without the lock of its name (--overlap " + overlap + "), and may run beside another one: state directory " + h.state + ": no answer within 2s"
		if got.code != 3 || got.stdout != "out\n" || strings.Count(got.stderr, want) != 1 {
			t.Errorf("%+v", got)
		}
		if r := s.ended(overlap + "#1"); !hasNote(r, want) {
			t.Errorf("notes %q", r.Notes)
		}
	}
}
