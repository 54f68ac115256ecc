package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// ended is how a parent sees the end of a command, and what that had printed.
type ended struct {
	stopped syscall.Signal // by which it was stopped meanwhile; 0 for not
	code    int            // 128 + n for a death by signal n, as a shell says it
	output  string
}

// A command that gets a signal ends as it would without stint run, whether it handles the
// signal, ignores it or leaves it to the kernel.
func TestSignalsReachTheCommand(t *testing.T) {
	h := newHost(t)
	gate := func(wait string) string { return `echo ready; ` + wait + `; echo went on; exit 4` }
	const forever = `while :; do sleep 0.05; done`
	until := `until [ -n "$got" ]; do sleep 0.05; done`
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2} {
		name := strings.TrimPrefix(unix.SignalName(sig), "SIG")
		for how, script := range map[string]string{
			"left to the kernel":   gate(forever),
			"handled with an exit": "trap 'echo " + name + "; exit 7' " + name + "; " + gate(forever),
			"handled with a 0":     "trap 'exit 0' " + name + "; " + gate(forever),
			"handled, and goes on": "trap 'echo " + name + "; got=1' " + name + "; " + gate(until),
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				end := func(words ...string) ended { return signalled(t, h, words, script, sig) }
				bare := end()
				under := end(stintAgent, "run", "--server", "http://"+freeAddress(t), "--flush-timeout", "1ms", "--")
				if bare != under {
					t.Errorf("bare: %+v, with stint run: %+v", bare, under)
				}
			})
		}
	}
	t.Run("TSTP and CONT", func(t *testing.T) {
		end := func(words ...string) ended {
			return signalled(t, h, words, gate("read line <gate"), syscall.SIGTSTP)
		}
		bare := end()
		under := end(stintAgent, "run", "--server", "http://"+freeAddress(t), "--flush-timeout", "1ms", "--")
		if bare != under || bare.stopped != syscall.SIGTSTP || bare.code != 4 {
			t.Errorf("bare: %+v, with stint run: %+v", bare, under)
		}
	})
}

// signalled runs a script, with words in front of it, and sends it a signal when it is ready.
// One that is stopped is continued, and its gate opened.
func signalled(t *testing.T, h *host, words []string, script string, sig syscall.Signal) ended {
	t.Helper()
	dir := t.TempDir()
	gate := filepath.Join(dir, "gate")
	if err := unix.Mkfifo(gate, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := os.Create(filepath.Join(dir, "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	args := append(words, "sh", "-c", script)
	cmd := h.command(args[0], args[1:]...)
	cmd.Dir, cmd.Stdout = dir, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a process group that its parent can continue
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	printed := func() string {
		text, err := os.ReadFile(out.Name())
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	eventually(t, "the command is ready", func() bool { return strings.Contains(printed(), "ready\n") })
	if err := syscall.Kill(cmd.Process.Pid, sig); err != nil {
		t.Fatal(err)
	}
	var got ended
	var status syscall.WaitStatus
	for {
		if _, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil {
			t.Fatal(err)
		}
		if !status.Stopped() {
			break
		}
		got.stopped = status.StopSignal()
		if err := syscall.Kill(cmd.Process.Pid, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(gate, []byte("go on\n"), 0); err != nil {
			t.Fatal(err)
		}
	}
	if got.code = status.ExitStatus(); status.Signaled() {
		got.code = 128 + int(status.Signal())
	}
	_ = cmd.Process.Release()
	got.output = printed()
	if status.CoreDump() {
		got.output += fmt.Sprintln("core dumped")
	}
	return got
}
