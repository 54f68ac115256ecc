package sink

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// taken is what a reader has got of each file.
type taken [2][]byte

// take takes batches until the end, or as many as are asked for.
func (got *taken) take(t interface{ Fatal(...any) }, q *Queue, most int) {
	for i := 0; most < 0 || i < most; i++ {
		b, err := q.Take(context.Background())
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		for file, data, ok := b.Next(); ok; file, data, ok = b.Next() {
			got[file] = append(got[file], data...)
		}
		q.Recycle(b)
	}
}

func spilling(q *Queue) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); q.Spill(ctx) }()
	return func() { cancel(); <-done }
}

// Whatever is added, however the reader pauses: it gets everything, in order and once, and
// the disk is given back.
func TestQueueHoldsWhatItsReaderHasNotTaken(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		q := NewQueue(Limits{Total: 1 << 40, Memory: 3 << 20}, Directory(dir))
		stop := spilling(q)
		var want, got taken
		for range rapid.IntRange(1, 60).Draw(rt, "pieces") {
			file := rapid.IntRange(0, 1).Draw(rt, "file")
			piece := bytes.Repeat([]byte{byte(rand.IntN(256))}, rapid.SampledFrom([]int{0, 1, 100, 5000, 100_000, 256 << 10}).Draw(rt, "size"))
			if !q.Add(file, piece, 0) {
				rt.Fatal("a piece found no room")
			}
			want[file] = append(want[file], piece...)
			if n := rapid.IntRange(0, 8).Draw(rt, "take"); n == 8 {
				got.take(rt, q, 1)
			}
		}
		q.End()
		got.take(rt, q, -1)
		for file := range want {
			if !bytes.Equal(got[file], want[file]) {
				rt.Fatalf("file %d: %d bytes of %d, or others", file, len(got[file]), len(want[file]))
			}
		}
		stop()
		q.Close()
		if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
			rt.Fatalf("files that are left: %v, %v", left, err)
		}
	})
}

// Beyond the limit the newest is dropped and counted, and what a reader takes makes room.
func TestQueueBeyondItsLimit(t *testing.T) {
	q := NewQueue(Limits{Total: 10 << 20, Memory: 16 << 20}, Directory(t.TempDir()))
	defer spilling(q)()
	defer q.Close()
	piece := make([]byte, 100_000)
	var added, refused int64
	add := func(pieces int) {
		for range pieces {
			if added += int64(len(piece)); !q.Add(0, piece, 0) {
				refused += int64(len(piece))
			}
		}
	}
	add(300)
	if refused == 0 {
		t.Error("30 MB found room in 10 MiB")
	}
	var got taken
	got.take(t, q, 20) // about half
	before := refused
	add(10)
	if refused != before {
		t.Error("what was taken made no room")
	}
	q.End()
	got.take(t, q, -1)
	dropped, disk := q.Dropped()
	if dropped != refused || int64(len(got[0]))+dropped != added || disk != nil {
		t.Errorf("%d taken and %d dropped (%d refused) of %d; disk %v", len(got[0]), dropped, refused, added, disk)
	}
}

// noDisk is a store that refuses.
type noDisk struct{ err error }

func (d noDisk) Create() (*os.File, error) { return nil, d.err }
func (d noDisk) Room(int64) error          { return d.err }

func TestQueueOnADiskThatRefuses(t *testing.T) {
	bad := errors.New("this disk is full")
	q := NewQueue(Limits{Total: 1 << 40, Memory: 4 << 20}, noDisk{bad})
	defer spilling(q)()
	defer q.Close()
	piece := make([]byte, 100_000)
	var got taken
	var kept int
	for range 100 {
		if q.Add(1, piece, 0) {
			kept += len(piece)
		}
	}
	q.End()
	got.take(t, q, -1)
	dropped, disk := q.Dropped()
	if kept < 3<<20 || len(got[1]) != kept || dropped != int64(100*len(piece)-kept) || !errors.Is(disk, bad) {
		t.Errorf("%d kept, %d taken, %d dropped, disk %v", kept, len(got[1]), dropped, disk)
	}
}

// stuckDisk is a store that does not answer until it is released.
type stuckDisk struct{ release chan struct{} }

func (d stuckDisk) Create() (*os.File, error) { <-d.release; return nil, os.ErrClosed }
func (d stuckDisk) Room(int64) error          { return nil }

// Nobody waits for a disk that does not answer, beyond a moment.
func TestQueueOnADiskThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := stuckDisk{make(chan struct{})}
		q := NewQueue(Limits{Total: 1 << 40, Memory: 4 << 20}, d)
		stop := spilling(q)
		begun := time.Now()
		for range 100 {
			q.Add(0, make([]byte, 100_000), 0)
		}
		if waited := time.Since(begun); waited > slowLimit {
			t.Errorf("adding waited %s for the disk", waited)
		}
		if dropped, _ := q.Dropped(); dropped == 0 {
			t.Error("10 MB found room in 4 MiB")
		}
		close(d.release)
		stop()
		q.Close()
	})
}

func TestQueueTellsHowFarItsOutputIsRecorded(t *testing.T) {
	q := NewQueue(Limits{Total: 1 << 20, Memory: 1 << 20}, nil)
	q.Add(0, []byte("a"), 700)
	q.Add(1, []byte("b"), 900)
	q.Add(0, []byte("c"), 0)
	b, err := q.Take(t.Context())
	if err != nil || b.After != 900 {
		t.Errorf("batch %+v, error %v", b, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Take(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	q.Close()
	if q.Add(0, []byte("d"), 0) {
		t.Error("a closed queue took something")
	}
}
