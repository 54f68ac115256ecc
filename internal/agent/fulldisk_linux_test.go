package agent

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// fullDisk is a small file system; fill takes all that is free on it.
func fullDisk(t *testing.T, size int) (dir string, fill func()) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("only root may mount a small disk")
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", size)); err != nil {
		if os.Getenv("CI") != "" { // root may do it there
			t.Fatalf("mount a small disk: %v", err)
		}
		t.Skipf("no small disk can be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir, func() {
		f, err := os.Create(filepath.Join(dir, "filler"))
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(make([]byte, 4096))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Error(err)
		}
	}
}

// A journal that an agent left on a disk that is full now is completed and delivered all the
// same: nothing else would ever give that room back.
func TestFlushOnAFullDisk(t *testing.T) {
	// The last page of the file has no room for an outcome either.
	// Its size varies with what is sampled and noted beside the output.
	printed := 10
	c, size, fill := unfinished(t, printed)
	for tries := 0; 4096-size%4096 > 300; tries++ {
		if tries == 20 {
			t.Fatalf("the journal has %d bytes, which leaves room for %d more", size, 4096-size%4096)
		}
		printed += (4096 + 4000 - size%4096) % 4096
		c, size, fill = unfinished(t, printed)
	}
	fill()
	s := newMemoryServer()
	report, err := flush.Run(t.Context(), flush.Config{StateDir: c.StateDir, Server: s, ServerURL: c.ServerURL, Host: owner.Host{Name: "here", BootID: "boot"}})
	if err != nil || len(report.Journals) != 1 || !report.Journals[0].Delivered || !report.Journals[0].Unfinished {
		t.Fatalf("flush %+v, error %v", report, err)
	}
	v := s.read(t, testRun)
	if v.final == nil || v.final.Outcome.Reason != job.AgentLost || len(v.output[streamKey{0, job.Stdout}]) != printed {
		t.Errorf("journal %+v", v)
	}
	if left, _ := filepath.Glob(filepath.Join(c.StateDir, "spool", "*")); len(left) > 0 {
		t.Errorf("the spool still holds %v", left)
	}
}

// unfinished leaves on a small disk the journal of an agent that died, of a job that printed
// some bytes. It returns the journal's size.
func unfinished(t *testing.T, printed int) (c Config, size int, fill func()) {
	t.Helper()
	s := newMemoryServer()
	s.before = func(int, int64, []byte) error { return errAway }
	c, _ = config(t, s, fmt.Sprintf("head -c %d /dev/zero", printed))
	c.StateDir, fill = fullDisk(t, 32<<20)
	got := Run(t.Context(), c)
	return c, cutOutcome(t, got.WaitsAt), fill
}

// cutOutcome cuts the last records off a journal on disk, as if its agent had died, and
// returns its size.
func cutOutcome(t *testing.T, dir string) int {
	t.Helper()
	file := filepath.Join(dir, "journal")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	i := bytes.LastIndex(text, []byte(`{"index":0,"outcome"`))
	if i < 0 {
		t.Fatal("the journal has no end of its step")
	}
	i -= journal.FrameSize
	if err := os.Truncate(file, int64(i)); err != nil {
		t.Fatal(err)
	}
	return i
}

// Where the end of a run is in memory alone, because the disk is full, the server is
// waited for if it has answered before.
func TestAnEndThatTheDiskCannotHoldIsWaitedFor(t *testing.T) {
	s := newMemoryServer()
	var ended atomic.Bool
	var tries atomic.Int64
	var answered sync.Once
	reached := make(chan struct{})
	s.before = func(int, int64, []byte) error {
		if ended.Load() && tries.Add(1) <= 5 {
			return errAway
		}
		answered.Do(func() { close(reached) })
		return nil
	}
	c, messages := config(t, s, "echo kept; exit 7")
	c.FlushTimeout = 30 * time.Second
	dir, fill := fullDisk(t, 32<<20)
	c.StateDir = dir
	c.Args = []string{"sh", "-c", `while [ ! -e "$0" ]; do sleep 0.05; done; head -c 100000 /dev/zero; exit 7`, filepath.Join(t.TempDir(), "go")}
	go func() {
		// The job goes on when the server has answered and the disk is full.
		<-reached
		fill()
		ended.Store(true)
		if err := os.WriteFile(c.Args[3], nil, 0o600); err != nil {
			t.Error(err)
		}
	}()
	got := Run(t.Context(), c)
	if got.ExitCode != 7 || !got.Complete {
		t.Fatalf("result %+v; messages %q", got, messages.text())
	}
	if v := s.read(t, testRun); v.final == nil || *v.final.Outcome.ExitCode != 7 || len(v.output[streamKey{0, job.Stdout}]) != 100_000 {
		t.Error("the journal on the server is not whole")
	}
}
