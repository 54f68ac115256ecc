package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// frozenRun is a run whose state directory is on a file system that freezes.
type frozenRun struct {
	t      *testing.T
	h      *host
	cmd    *exec.Cmd
	stderr bytes.Buffer
	out    string // file of its stdout
	door   string // a FIFO: the job goes on when it is opened for writing
}

// startFrozenRun starts one that prints a line, waits at its door, prints another and exits 3.
func startFrozenRun(t *testing.T, state, server, name string) *frozenRun {
	t.Helper()
	dir := t.TempDir()
	r := &frozenRun{t: t, h: &host{t: t, state: state}, out: filepath.Join(dir, "out"), door: filepath.Join(dir, "door")}
	if err := unix.Mkfifo(r.door, 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, err := os.Create(r.out)
	if err != nil {
		t.Fatal(err)
	}
	defer stdout.Close()
	r.cmd = r.h.command(stint, "run", "--server", server, "--job", name, "--", "sh", "-c", `echo one; read x <"$1"; echo two; exit 3`, "sh", r.door)
	r.cmd.Stdout, r.cmd.Stderr = stdout, &r.stderr
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *frozenRun) printed(want string) {
	r.t.Helper()
	eventually(r.t, "the caller gets "+want, func() bool { text, _ := os.ReadFile(r.out); return string(text) == want })
}

func (r *frozenRun) openDoor() {
	r.t.Helper()
	if err := os.WriteFile(r.door, []byte("\n"), 0); err != nil {
		r.t.Fatal(err)
	}
}

// end waits for the end of stint run, and returns its messages.
func (r *frozenRun) end() string {
	r.t.Helper()
	_ = r.cmd.Wait() // the exit code is checked below
	if code := shellCode(r.cmd.ProcessState); code != 3 {
		r.t.Errorf("exit code %d, messages: %s", code, r.stderr.String())
	}
	return r.stderr.String()
}

// A state directory that freezes, whenever that is, changes nothing of the job: the caller and
// the server get everything meanwhile. Only the process of stint run stays until it is thawed,
// because the kernel ends none that writes there.
func TestStateDirectoryThatFreezes(t *testing.T) {
	t.Parallel()
	disk := deadfs.MountFrozen(t)
	s := startServer(t)
	for _, when := range []string{"start", "middle", "thawed"} {
		t.Run(when, func(t *testing.T) {
			if when == "start" {
				disk.Freeze()
			}
			r := startFrozenRun(t, filepath.Join(disk.Dir, when), s.url, when)
			r.printed("one\n")
			if when != "start" {
				eventually(t, "the server has the first line", func() bool {
					_, known := s.find(when + "#1")
					return known && string(s.log(when+"#1", "")) == "one\n"
				})
				disk.Freeze()
			}
			if when == "thawed" {
				eventually(t, "the agent writes", func() bool { return deadfs.Writes(r.cmd.Process.Pid) })
				disk.Thaw()
			}
			r.openDoor()
			r.printed("one\ntwo\n")
			run := s.ended(when + "#1")
			wantEnd(t, run, job.Failed, job.ExitCode, 3)
			if log := s.log(when+"#1", ""); string(log) != "one\ntwo\n" {
				t.Errorf("the server has %q", log)
			}
			if when != "thawed" {
				disk.Thaw()
			}
			if messages := r.end(); strings.Count(messages, "\n") > 1 || when == "thawed" && messages != "" {
				t.Errorf("messages: %s", messages)
			}
			if got := r.h.run("flush", "--server", s.url); got.code != 0 {
				t.Errorf("%+v", got)
			}
			wantEnd(t, s.ended(when+"#1"), job.Failed, job.ExitCode, 3)
		})
	}
}

// With no server, the disk alone has the journal: thawed in time, it has all of it.
func TestFrozenStateDirectoryWithoutAServer(t *testing.T) {
	disk := deadfs.MountFrozen(t)
	r := startFrozenRun(t, filepath.Join(disk.Dir, "state"), "http://127.0.0.1:1", "alone")
	r.printed("one\n")
	disk.Freeze()
	r.openDoor()
	r.printed("one\ntwo\n")
	disk.Thaw()
	if messages := r.end(); !strings.Contains(messages, "waits at "+disk.Dir) {
		t.Errorf("messages: %s", messages)
	}
	s := startServer(t)
	if got := r.h.run("flush", "--server", s.url); got.code != 0 {
		t.Errorf("%+v", got)
	}
	wantEnd(t, s.ended("alone#1"), job.Failed, job.ExitCode, 3)
	if log := s.log("alone#1", ""); string(log) != "one\ntwo\n" {
		t.Errorf("the server has %q", log)
	}
}
