package record

import (
	"bytes"
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/job"
)

// heldCapture is a capture that drains a pipe, the recorder behind it, and a second copy of
// the job's end, as a process outside of the run may have one.
func heldCapture(t *testing.T) (*Capture, *Recorder, *os.File) {
	t.Helper()
	r := New(Config{Journal: spool.InMemory(spool.Meta{Run: testRun}, spool.Limits{}, errors.New("no disk")), SendAtOnce: 512 << 10, Print: func(string) {}})
	c, err := r.CapturePipe(0, job.Stdout)
	if err != nil {
		t.Fatal(err)
	}
	fd, err := syscall.Dup(int(c.write.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	held := os.NewFile(uintptr(fd), "held")
	t.Cleanup(func() { held.Close() })
	c.Start(nil)
	return c, r, held
}

// printedBytes is what a recorder has recorded.
func printedBytes(t *testing.T, r *Recorder) []byte {
	t.Helper()
	return readJournal(t, contents(t, r.Journal(), 0)).output[job.Stdout]
}

// Somebody outside of the run holds the pipe when its time is over: what was printed is
// recorded, and nothing of the capture is left, neither the goroutine nor the pipe.
func TestLimitLetsGoOfAPipeThatIsHeld(t *testing.T) {
	for name, limit := range map[string]time.Duration{"over already": -time.Second, "over soon": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			c, r, held := heldCapture(t)
			if _, err := held.WriteString("printed\n"); err != nil {
				t.Fatal(err)
			}
			c.Release()
			c.Limit(time.Now().Add(limit))
			<-c.done
			if !c.Held() {
				t.Error("the capture does not say that the pipe is held")
			}
			if got := printedBytes(t, r); string(got) != "printed\n" {
				t.Errorf("recorded %q", got)
			}
			if _, err := held.WriteString("nobody reads this"); !errors.Is(err, syscall.EPIPE) {
				t.Errorf("the pipe is still open: %v", err)
			}
		})
	}
}

// A process that holds the pipe may also print without end: that does not put off the limit.
func TestLimitEndsAPipeThatIsNeverEmpty(t *testing.T) {
	c, _, held := heldCapture(t)
	block := bytes.Repeat([]byte("x"), 2*pipeSize)
	if _, err := held.Write(block); err != nil { // more than the pipe holds: somebody reads
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		for {
			if _, err := held.Write(block); err != nil {
				ended <- err
				return
			}
		}
	}()
	c.Release()
	c.Limit(time.Now())
	<-c.done
	if err := <-ended; !errors.Is(err, syscall.EPIPE) || !c.Held() {
		t.Errorf("the pipe ended with %v, held %v", err, c.Held())
	}
}

// The end of the pipe is a normal end, and everything before it is recorded.
func TestCaptureReadsToTheEnd(t *testing.T) {
	c, r, held := heldCapture(t)
	want := randomBytes(1 << 20)
	if _, err := held.Write(want); err != nil {
		t.Fatal(err)
	}
	held.Close()
	c.Release()
	<-c.done
	if got := printedBytes(t, r); !bytes.Equal(got, want) || c.Held() {
		t.Errorf("%d of %d bytes recorded, held %v", len(got), len(want), c.Held())
	}
}

// A release may come while somebody prints: it adds nothing to the output, and takes nothing
// away.
func TestReleaseInTheMiddleOfOutput(t *testing.T) {
	want := randomBytes(300 << 10)
	for round := range 100 {
		c, r, held := heldCapture(t)
		at := len(want) * round / 100
		printed := make(chan struct{})
		go func() {
			defer held.Close()
			for from, n := 0, 1; from < len(want); from, n = from+n, n*7%40_009+1 {
				n = min(n, len(want)-from)
				if _, err := held.Write(want[from : from+n]); err != nil {
					t.Error(err)
					return
				}
				if from <= at && at < from+n {
					close(printed) // the release comes beside the writes that follow
				}
			}
		}()
		<-printed
		c.Release()
		c.Release() // again is harmless
		<-c.done
		if got := printedBytes(t, r); !bytes.Equal(got, want) {
			t.Fatalf("round %d: %d bytes recorded of %d, or others", round, len(got), len(want))
		}
	}
}
