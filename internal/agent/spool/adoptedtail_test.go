package spool

import (
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/job"
)

// adoptTail prints into a tail of several segments, of which nothing was dropped, ends the agent
// and adopts the journal.
func adoptTail(t *testing.T) *model {
	t.Helper()
	m := newModel(t, open(t), Limits{Unsent: 1 << 20})
	for len(m.j.tail.Segments) < 3 {
		m.print(job.Stdout, 6_000)
		m.print(job.Stderr, 600)
	}
	if len(m.j.tail.Gaps) > 0 {
		t.Fatal("something was dropped before: the test shows nothing")
	}
	m.stopWriter()
	j, _, err := m.spool.Adopt(t.Context(), only(t, m.spool))
	if err != nil {
		t.Fatal(err)
	}
	m.j = j
	return m
}

// unreadableFile is a file whose reads wait for a gate.
type unreadableFile struct {
	disk.File
	gate <-chan struct{}
}

func (f unreadableFile) ReadAt(p []byte, at int64) (int, error) {
	<-f.gate
	return f.File.ReadAt(p, at)
}

// What has to be dropped of an adopted tail leaves a gap at its place in the stream.
func TestGapInAnAdoptedTail(t *testing.T) {
	m := adoptTail(t)
	m.j.mu.Lock()
	m.j.tail.DropOldest("the test wants it")
	m.j.mu.Unlock()
	m.j.PlaceTail()
	m.checkMissing(t)
}

// The same when PlaceTail gives up on a disk that does not answer: all of the tail is dropped.
func TestAdoptedTailOnADiskThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := adoptTail(t)
		gate := make(chan struct{})
		for _, s := range m.j.tail.Segments {
			s.File = unreadableFile{s.File, gate}
		}
		m.j.Start(func() {})
		defer m.stopWriter()
		begun := time.Now()
		m.j.PlaceTail()
		if took := time.Since(begun); took != placeLimit {
			t.Fatalf("PlaceTail took %s, not %s: the test shows nothing", took, placeLimit)
		}
		close(gate)
		m.checkMissing(t)
	})
}

// checkMissing compares what was delivered with what was printed, of which a part is missing.
func (m *model) checkMissing(t *testing.T) {
	t.Helper()
	m.check()
	if m.missing == 0 {
		t.Error("nothing was dropped: the test shows nothing")
	}
	if err := m.j.Remove(); err != nil {
		t.Error(err)
	}
}
