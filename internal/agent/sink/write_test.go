package sink

import (
	"bytes"
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Another process that shares the descriptor makes it non-blocking while we write, as a
// Node program does.
func TestWriteToWhatSomebodyMadeNonBlocking(t *testing.T) {
	r, w := blockingPipe(t)
	if err := unix.SetNonblock(int(w.Fd()), true); err != nil {
		t.Fatal(err)
	}
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB, more than any pipe here holds
	done := make(chan error, 1)
	go func() {
		n, err := Write(w, want)
		if err == nil && n != len(want) {
			err = io.ErrShortWrite
		}
		w.Close()
		done <- err
	}()
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d of %d bytes arrived, or others; error %v", len(got), len(want), err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestWriteSaysThatTheReaderIsGone(t *testing.T) {
	r, w := blockingPipe(t)
	r.Close()
	if _, err := Write(w, []byte("x")); !errors.Is(err, syscall.EPIPE) || !ReaderGone(err) {
		t.Errorf("error %v", err)
	}
}

func TestWriteToAFullDevice(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	if n, err := Write(full, []byte("x")); n != 0 || !errors.Is(err, syscall.ENOSPC) || ReaderGone(err) {
		t.Errorf("%d bytes, error %v", n, err)
	}
}
