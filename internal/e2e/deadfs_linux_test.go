package e2e

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/deadfs"
	"stint.dev/stint/job"
)

// A state directory that does not answer keeps neither the job from starting nor the program
// from ending.
func TestStateDirectoryOnADeadFileSystem(t *testing.T) {
	dir, _ := deadfs.Mount(t)
	s := startServer(t)
	h := &host{t: t, state: filepath.Join(dir, "state")}
	got := h.run("run", "--server", s.url, "--job", "dead", "--", "sh", "-c", "echo out; exit 3")
	if got.code != 3 || got.stdout != "out\n" || !strings.Contains(got.stderr, "does not answer") {
		t.Errorf("%+v", got)
	}
	wantEnd(t, s.ended("dead#1"), job.Failed, job.ExitCode, 3)
}

// Files that lead to the server, and the path of the working directory, may be on a file system
// that does not answer: the job runs all the same.
func TestFilesOnADeadFileSystem(t *testing.T) {
	t.Parallel()
	dir, _ := deadfs.Mount(t)
	s := startServer(t)
	h := newHost(t)
	got := h.run("run", "--server", s.url, "--tls-ca", filepath.Join(dir, "ca.pem"), "--", "sh", "-c", "echo out; exit 3")
	if got.code != 3 || got.stdout != "out\n" || !strings.Contains(got.stderr, "--tls-ca: read "+dir+"/ca.pem: no answer within 2s; the job runs") {
		t.Errorf("%+v", got)
	}
	// Configuration and token, both of the user, at the same time.
	configured := h.command(stint, "run", "--server", s.url, "--job", "configured", "--", "sh", "-c", "echo out; exit 3")
	configured.Env = append(configured.Env, "STINT_CONFIG=", "XDG_CONFIG_HOME="+dir)
	begun := time.Now()
	got = finish(t, configured)
	if place := "stint: " + dir + "/stint/config: no answer within 2s; it is ignored\n"; got.code != 3 || got.stdout != "out\n" || got.stderr != place {
		t.Errorf("%+v, want %s", got, place)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
	wantEnd(t, s.ended("configured#1"), job.Failed, job.ExitCode, 3)
	got = h.run("run", "--server", s.url, "--token-file", filepath.Join(dir, "token"), "--", "sh", "-c", "echo out; exit 3")
	if got.code != 3 || got.stdout != "out\n" || !strings.Contains(got.stderr, "--token-file: read "+dir+"/token: no answer within 2s; the job runs") {
		t.Errorf("%+v", got)
	}
	run := h.command(stint, "run", "--server", s.url, "--job", "here", "--", "/bin/echo", "out")
	run.Env = append(run.Env, "PWD="+filepath.Join(dir, "here")) // as the shell knows it
	if got := finish(t, run); got.code != 0 || got.stdout != "out\n" {
		t.Errorf("%+v", got)
	}
	wantEnd(t, s.ended("here#1"), job.Succeeded, job.ExitCode, 0)
	doctor := (&host{t: t, state: filepath.Join(dir, "state")}).run("doctor", "--server", s.url)
	if doctor.code != 1 || !strings.Contains(doctor.stdout, "the state directory: no answer within 10s") {
		t.Errorf("%+v", doctor)
	}
}

// What is looked at before the agent supervises anything can be interrupted, too.
func TestSignalWhileADirectoryDoesNotAnswer(t *testing.T) {
	dir, _ := deadfs.Mount(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		run := newHost(t).command(stint, "run", "--dir", filepath.Join(dir, "work"), "--", "true")
		if err := run.Start(); err != nil {
			t.Fatal(err)
		}
		for end := time.Now().Add(patience); !deadfs.Waits(run.Process.Pid); <-time.After(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("stint run does not look at the directory")
			}
		}
		if err := run.Process.Signal(sig); err != nil {
			t.Error(err)
		}
		_ = run.Wait() // the state is checked below
		if status := run.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != sig {
			t.Errorf("stint run: %v", run.ProcessState)
		}
	}
}
