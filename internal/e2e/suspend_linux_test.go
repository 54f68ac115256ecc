package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// ticking is a job that counts in the file n, ten times a second, until there is a file done.
const ticking = `i=0; until [ -e done ] || [ $i = 6000 ]; do i=$((i+1)); echo $i > n.new; mv n.new n; sleep 0.1; done`

// letEnd lets a ticking job in a directory end when it has gone on beyond a number.
func letEnd(t *testing.T, dir string, before int) {
	t.Helper()
	eventually(t, "the job goes on", func() bool { return number(t, filepath.Join(dir, "n")) > before })
	if err := os.WriteFile(filepath.Join(dir, "done"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func number(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

// Ctrl-Z, as a shell sends it: the parent sees the stop that it would see of the bare
// command, the job stands still, the server knows, and SIGCONT continues it all. Without a
// shell around it (orphaned) it is stopped all the same.
func TestSuspendedJob(t *testing.T) {
	s := startServer(t)
	for name, orphan := range map[string]bool{"job of a shell": false, "orphaned process group": true} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			run := h.command(stint, "run", "--server", s.url, "--job", name, "--dir", dir, "--heartbeat-period", "1s", "-c", ticking)
			run.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if orphan {
				run.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			}
			if err := run.Start(); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, "n")
			eventually(t, "the job works and the server knows", func() bool {
				r, known := s.find(name + "#1")
				return known && number(t, file) > 3 && r.LastHeartbeatAt != nil
			})
			if err := syscall.Kill(run.Process.Pid, syscall.SIGTSTP); err != nil {
				t.Fatal(err)
			}
			var status syscall.WaitStatus
			if _, err := syscall.Wait4(run.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
				t.Fatalf("the parent sees %#x, %v", status, err)
			}
			if want := map[bool]syscall.Signal{false: syscall.SIGTSTP, true: syscall.SIGSTOP}[orphan]; status.StopSignal() != want {
				t.Errorf("stopped by %v, want %v", status.StopSignal(), want)
			}
			eventually(t, "the server knows that the run is suspended", func() bool {
				r, _ := s.find(name + "#1")
				return r.SuspendedAt != nil && r.State == job.Running
			})
			before := number(t, file)
			<-time.After(time.Second)
			if after := number(t, file); after != before {
				t.Errorf("the job went on from %d to %d", before, after)
			}
			if err := syscall.Kill(run.Process.Pid, syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			letEnd(t, dir, before)
			if err := run.Wait(); err != nil {
				t.Errorf("stint run: %v", err)
			}
			wantEnd(t, s.ended(name+"#1"), job.Succeeded, job.ExitCode, 0)
		})
	}
}

// Ctrl-Z at a terminal under a shell, then fg: what is typed reaches the shell meanwhile.
func TestCtrlZ(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	screen, tty := terminal(t)
	defer screen.Close()
	shell := h.command("bash", "--norc", "--noprofile", "-i")
	shell.Env = append(shell.Env, "PS1=", "PS2=", "TERM=dumb", "STINT="+stint, "STINT_SERVER=http://"+freeAddress(t))
	shell.Dir = dir
	inTerminal(shell, tty)
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	tty.Close()
	seen := watchScreen(screen)
	write := func(text string) {
		if _, err := screen.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "n")
	write("$STINT run -c '" + ticking + "; exit 9' 2>/dev/null\n")
	eventually(t, "the job works", func() bool { return number(t, file) > 3 })
	write("\x1a")
	eventually(t, "the shell says that it is stopped", seen.has("Stopped"))
	before := number(t, file)
	write("echo the shell reads: $((40+2))\n")
	eventually(t, "the shell reads", seen.has("the shell reads: 42"))
	if after := number(t, file); after != before {
		t.Errorf("the job went on from %d to %d", before, after)
	}
	write("fg; echo it ended with $?; exit\n")
	letEnd(t, dir, before)
	eventually(t, "the job has ended", seen.has("it ended with 9"))
	_ = shell.Wait() // the exit code is the last command's
}
