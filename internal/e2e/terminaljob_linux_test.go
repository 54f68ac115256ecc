package e2e

import (
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/job"
)

// screenText collects what a person would see.
type screenText struct {
	written
	done chan struct{}
}

func watchScreen(screen *os.File) *screenText {
	s := &screenText{done: make(chan struct{})}
	go func() {
		defer close(s.done)
		_, _ = io.Copy(s, screen) // ends with EIO when nobody has the terminal any more
	}()
	return s
}

func (s *screenText) has(text string) func() bool {
	return func() bool { return strings.Contains(s.all(), text) }
}

func (s *screenText) all() string { return s.String() }

// inTerminal makes a command the leader of a session on a terminal.
func inTerminal(cmd *exec.Cmd, tty *os.File) {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
}

func mode(t *testing.T, tty *os.File) unix.Termios {
	t.Helper()
	m, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return *m
}

// A person works with a job: what is typed reaches it, Ctrl-C is the job's, and the
// terminal is given back as it was.
func TestInteractiveJob(t *testing.T) {
	s, h := startServer(t), newHost(t)
	screen, tty := terminal(t)
	defer tty.Close()
	before := mode(t, tty)
	run := h.command(stint, "run", "--server", s.url, "--job", "typed", "-it", "-c",
		`trap 'seq 20000; echo interrupted; exit 5' INT; echo ready; read word; echo "got <$word>"; while :; do sleep 0.05; done`)
	inTerminal(run, tty)
	seen := watchScreen(screen)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the job is ready", seen.has("ready\r\n"))
	if raw := mode(t, tty); raw.Lflag&unix.ICANON != 0 {
		t.Error("the terminal is not raw while the job has it")
	}
	for _, typed := range []struct{ keys, then string }{{"wörd\r", "got <wörd>\r\n"}, {"\x03", "interrupted\r\n"}} {
		if _, err := screen.WriteString(typed.keys); err != nil {
			t.Fatal(err)
		}
		eventually(t, typed.then, seen.has(typed.then))
	}
	if err := run.Wait(); run.ProcessState.ExitCode() != 5 {
		t.Errorf("stint run: %v, on the screen: %q", err, seen.all())
	}
	// The job's last lines come out as it sent them, although it has ended meanwhile.
	if text := seen.all(); strings.Contains(text, "\r\r") {
		t.Errorf("a line ends with two carriage returns at %q", text[strings.Index(text, "\r\r")-20:])
	}
	if after := mode(t, tty); after != before {
		t.Errorf("the terminal's mode was\n%+v and is\n%+v", before, after)
	}
	wantEnd(t, s.ended("typed#1"), job.Failed, job.ExitCode, 5)
}

// An agent in the background of a terminal that stops its writers goes on, with a terminal
// for its job or without; and the job does not inherit the deafness that this takes.
func TestAgentInTheBackgroundOfATerminal(t *testing.T) {
	s, h := startServer(t), newHost(t)
	for _, flags := range []string{"", "-it", "-i"} {
		t.Run("flags"+flags, func(t *testing.T) {
			screen, tty := terminal(t)
			defer tty.Close()
			script := `set -m; stty tostop; ` + stint + ` run --server ` + s.url + ` ` + flags +
				` -c 'echo from behind; grep SigIgn /proc/self/status' & wait $!; echo "code $?"`
			shell := h.command("sh", "-c", script)
			inTerminal(shell, tty)
			seen := watchScreen(screen)
			if err := shell.Run(); err != nil {
				t.Errorf("sh: %v", err)
			}
			eventually(t, "the end", seen.has("code "))
			text := seen.all()
			if !strings.Contains(text, "from behind") || !strings.Contains(text, "code 0") {
				t.Errorf("on the screen: %q", text)
			}
			found := regexp.MustCompile(`SigIgn:\s+([0-9a-f]+)`).FindStringSubmatch(text)
			if found == nil {
				t.Fatalf("on the screen: %q", text)
			}
			ignored, err := strconv.ParseUint(found[1], 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			for _, sig := range []syscall.Signal{syscall.SIGTTIN, syscall.SIGTTOU} {
				if ignored&(1<<(sig-1)) != 0 {
					t.Errorf("the job ignores %s", unix.SignalName(sig))
				}
			}
		})
	}
}

// A job that sends everything to files of its own is not hung up, although it is given a
// terminal.
func TestJobThatRedirectsEverythingUnderATerminal(t *testing.T) {
	s, h := startServer(t), newHost(t)
	log := filepath.Join(t.TempDir(), "log")
	got := h.run("run", "--server", s.url, "--job", "redirects", "-t", "--", "bash", "-c", "exec >"+log+" 2>&1; sleep 1; echo done")
	text, err := os.ReadFile(log)
	if got.code != 0 || err != nil || string(text) != "done\n" {
		t.Errorf("stint run -t: %+v, its log has %q (%v)", got, text, err)
	}
	wantEnd(t, s.ended("redirects#1"), job.Succeeded, job.ExitCode, 0)
}

// With -t alone, the caller's terminal writes lines as without stint run, and its Ctrl-C stops
// the run; a SIGINT from elsewhere is called that.
func TestTerminalJobWithoutTyping(t *testing.T) {
	s, h := startServer(t), newHost(t)
	screen, tty := terminal(t)
	defer tty.Close()
	run := h.command(stint, "run", "--server", s.url, "--job", "shown", "-t", "-c", `echo one; echo two; exec sleep 100`)
	inTerminal(run, tty)
	seen := watchScreen(screen)
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "both lines", seen.has("one\r\ntwo\r\n"))
	if _, err := screen.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	_ = run.Wait() // the signal of which it died
	if r := s.ended("shown#1"); r.State != job.Canceled || r.Outcome.By != "Ctrl-C" {
		t.Errorf("the run is %s, %+v", r.State, r.Outcome)
	}

	alone := h.command(stint, "run", "--server", s.url, "--job", "alone", "--", "sleep", "100")
	alone.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := alone.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the run runs", func() bool { r, known := s.find("alone#1"); return known && r.State == job.Running })
	if err := alone.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = alone.Wait()
	if r := s.ended("alone#1"); r.State != job.Canceled || r.Outcome.By != "signal SIGINT" {
		t.Errorf("the run is %s, %+v", r.State, r.Outcome)
	}
}
