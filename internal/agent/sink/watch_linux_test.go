package sink

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// gone is what a watch says about files, in order, until it is closed.
func gone(w *Watch) <-chan int {
	c := make(chan int)
	go func() {
		defer close(c)
		for {
			i, ok := w.Next()
			if !ok {
				return
			}
			c <- i
		}
	}()
	return c
}

func socketPair(t *testing.T) (ours, theirs *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs = os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { ours.Close(); theirs.Close() })
	return ours, theirs
}

func TestWatchSeesReadersGo(t *testing.T) {
	r, w := blockingPipe(t)
	ours, theirs := socketPair(t)
	watch := NewWatch(w, ours)
	events := gone(watch)
	if _, err := w.WriteString("not read"); err != nil { // is no reason to go
		t.Fatal(err)
	}
	theirs.Close()
	if i := <-events; i != 1 {
		t.Errorf("the socket was closed, and the watch says %d", i)
	}
	r.Close()
	if i := <-events; i != 0 {
		t.Errorf("the pipe was closed, and the watch says %d", i)
	}
	watch.Close()
	if i, more := <-events; more {
		t.Errorf("the watch says %d a second time", i)
	}
}

func TestWatchSeesAReaderThatWentBefore(t *testing.T) {
	r, w := blockingPipe(t)
	r.Close()
	watch := NewWatch(nil, w)
	defer watch.Close()
	if i, ok := watch.Next(); !ok || i != 1 {
		t.Errorf("index %d, %v", i, ok)
	}
}

// stdout and stderr are one pipe, as under 2>&1.
func TestWatchOfOnePipeTwice(t *testing.T) {
	r, w := blockingPipe(t)
	fd, err := unix.Dup(int(w.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	again := os.NewFile(uintptr(fd), "again")
	defer again.Close()
	watch := NewWatch(w, again)
	events := gone(watch)
	r.Close()
	if a, b := <-events, <-events; a+b != 1 || a == b {
		t.Errorf("indexes %d and %d", a, b)
	}
	watch.Close()
	<-events
}

// What has no reader of its own, or may get another one, is not watched.
func TestWatchLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "file"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	name := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	fifo, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer fifo.Close()
	if w := NewWatch(file, null, fifo, nil); w != nil {
		t.Error("something is watched")
	}
	var none *Watch
	none.Close()
}
