package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/room"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// gated is a directory whose writes stand still while its gate is shut.
type gated struct {
	disk.Local
	gate <-chan struct{}
}

type gatedFile struct {
	disk.File
	gate <-chan struct{}
}

func (d gated) Create(name string) (disk.File, error) {
	<-d.gate
	f, err := d.Local.Create(name)
	return gatedFile{f, d.gate}, err
}

func (f gatedFile) WriteAt(p []byte, at int64) (int, error) {
	<-f.gate
	return f.File.WriteAt(p, at)
}

func newModel(t *testing.T, s *Spool, l Limits) *model {
	t.Helper()
	m := &model{t: t, spool: s, limits: l, printed: map[segment.Stream][]byte{}, disk: &conditions{volatile: map[string]bool{}}}
	m.j = begin(t, s, l)
	return m
}

// A disk that does not answer delays the printing process once, until it counts as stuck; memory stays
// within its bound, and what is in memory can be delivered. When the disk answers again, all
// comes to it.
func TestDiskThatStandsStill(t *testing.T) {
	s := open(t)
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, s, Limits{Memory: 8 << 20})
		gate := make(chan struct{})
		m.j.writer.Disk = gated{disk.Local(m.j.dir), gate}
		m.j.placed.Segments[0].File = gatedFile{m.j.placed.Segments[0].File, gate}
		m.j.Start(func() {})
		begun := time.Now()
		for range 400 { // 24 MiB
			m.print(job.Stdout, 60_000)
			m.j.mu.Lock()
			held := m.j.placed.Memory + m.j.tail.Memory
			m.j.mu.Unlock()
			if held > m.limits.Memory+queueLimit+room.WindowLimit+segment.MemorySize {
				t.Fatalf("%d bytes are held in memory", held)
			}
		}
		if took := time.Since(begun); took > segment.StuckAfter {
			t.Errorf("printing took %s with a disk that does not answer", took)
		}
		if m.j.Unsent() == 0 || !m.j.Dropped() {
			t.Errorf("%d bytes can be delivered, dropped: %v", m.j.Unsent(), m.j.Dropped())
		}
		m.deliver(1 << 20)
		close(gate)
		if err := m.j.Persist(); err != nil {
			t.Error(err)
		}
		m.check()
		if err := m.j.Remove(); err != nil {
			t.Error(err)
		}
		<-m.j.writer.Ended
	})
}

// A directory that is removed under a running agent costs nothing while the server is there,
// and is not called a place where the journal waits.
func TestDirectoryRemovedUnderAnAgent(t *testing.T) {
	s := open(t)
	m := newModel(t, s, Limits{Unsent: 4 << 20})
	m.j.Start(func() {})
	m.print(job.Stdout, 60_000)
	if !m.j.await(placeLimit, func() bool { return m.j.placed.OnDisk == m.j.placed.State.Size }) {
		t.Fatal("the disk does not work")
	}
	if err := os.RemoveAll(m.j.Path()); err != nil {
		t.Fatal(err)
	}
	for range 200 {
		m.print(job.Stdout, 60_000)
		m.deliver(1 << 20)
	}
	m.j.PlaceTail()
	if err := m.j.Persist(); err == nil {
		t.Error("a journal whose directory is gone is reported to be on disk")
	}
	m.check()
	if m.j.Dropped() {
		t.Error("output was dropped although the server took it all")
	}
	if err := m.j.Close(); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

// finishAway ends an attempt whose server is away, and reads back what waits on the disk.
func (m *model) finishAway(t *testing.T) journal.Recovered {
	t.Helper()
	m.endStep()
	m.step--
	if err := m.j.Finish(time.Unix(4, 0), journal.Final{}); err != nil {
		t.Fatal(err)
	}
	if err := m.j.Persist(); err != nil {
		t.Fatal(err)
	}
	if err := m.j.Close(); err != nil {
		t.Fatal(err)
	}
	j, rec, err := m.spool.Adopt(context.Background(), only(t, m.spool))
	if err != nil || !rec.Ended {
		t.Fatalf("recovered %+v, error %v", rec, err)
	}
	m.j = j
	for j.Waiting() > 0 {
		m.deliver(1 << 20)
	}
	m.compare()
	return rec
}

// keptOf is how much of what was printed was delivered.
func (m *model) keptOf() (kept int) {
	for _, data := range m.printed {
		kept += len(data)
	}
	return kept - m.missing
}

func TestOutputLargerThanTheDisk(t *testing.T) {
	dir := smallDisk(t, 24<<20)
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := newModel(t, s, Limits{})
	m.j.Start(func() {})
	for range 1200 { // 69 MiB
		m.print(job.Stdout, 60_000)
	}
	m.finishAway(t)
	if kept := m.keptOf(); m.missing == 0 || kept < 8<<20 {
		t.Errorf("%d bytes were kept, %d are missing", kept, m.missing)
	}
	if err := m.j.Remove(); err != nil {
		t.Error(err)
	}
}

// The outcome fits on a disk that never had the room which is kept for it.
func TestDiskWithoutRoomForTheReserve(t *testing.T) {
	for _, size := range []int{256 << 10, 1 << 20, 2 << 20, 3 << 20, 5 << 20} {
		for _, piece := range []int{100, 60_000} {
			t.Run(fmt.Sprintf("%d KiB in %d", size>>10, piece), func(t *testing.T) {
				s, err := Open(smallDisk(t, size))
				if err != nil {
					t.Fatal(err)
				}
				m := newModel(t, s, Limits{})
				m.j.Start(func() {})
				for printed := 0; printed < 6<<20; printed += max(piece, 1000) {
					for range max(1, 1000/piece) {
						m.print(job.Stdout, piece)
					}
				}
				m.finishAway(t)
				if err := m.j.Remove(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// onSmallDisk is a journal on a disk of 24 MiB, which has what was printed first.
func onSmallDisk(t *testing.T) (dir string, m *model) {
	t.Helper()
	dir = smallDisk(t, 24<<20)
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m = newModel(t, s, Limits{})
	m.j.Start(func() {})
	m.print(job.Stdout, 60_000)
	if !m.j.await(placeLimit, func() bool { return m.j.placed.OnDisk == m.j.placed.State.Size }) {
		t.Fatal("the disk does not work")
	}
	return dir, m
}

// The end of an attempt fits although others have filled the disk.
func TestDiskFilledByOthers(t *testing.T) {
	dir, m := onSmallDisk(t)
	fill(t, filepath.Join(dir, "others"))
	for range 200 {
		m.print(job.Stdout, 60_000)
	}
	m.finishAway(t)
	if kept := m.keptOf(); m.missing == 0 || kept < 1<<20 {
		t.Errorf("%d bytes were kept, %d are missing", kept, m.missing)
	}
	if err := m.j.Remove(); err != nil {
		t.Error(err)
	}
}

// What a full disk has no room for is not dropped at the end of a step while the server takes it,
// and is if it does not.
func TestEndOfAStepOnAFullDisk(t *testing.T) {
	for _, there := range []bool{true, false} {
		dir, m := onSmallDisk(t)
		fill(t, filepath.Join(dir, "others"))
		for range 100 { // 6 MB
			m.print(job.Stdout, 60_000)
		}
		if size := m.j.tail.Size(); size < 2*room.TailLimit {
			t.Fatalf("%d bytes are in the tail: the test shows nothing", size)
		}
		ended, served := make(chan struct{}), make(chan struct{})
		go func() {
			defer close(served)
			for there {
				m.deliver(400_000)
				select {
				case <-ended:
					return
				case <-time.After(10 * time.Millisecond):
				}
			}
		}()
		m.endStep()
		close(ended)
		<-served
		if m.j.Dropped() == there {
			t.Errorf("the server is there: %v; dropped: %v", there, m.j.Dropped())
		}
		m.check()
		if err := m.j.Remove(); err != nil {
			t.Error(err)
		}
	}
}

// fill writes a file until the disk is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}

// An agent that dies while its disk takes no output has output in memory that belongs before
// what is known of the rest. What is left is the beginning, and not that rest behind it as if
// nothing were missing.
func TestDiesWithOutputInMemory(t *testing.T) {
	for _, delivered := range []bool{false, true} {
		dir, m := onSmallDisk(t)
		others := filepath.Join(dir, "others")
		fill(t, others)
		if info, err := os.Stat(others); err != nil || os.Truncate(others, info.Size()-256<<10) != nil {
			t.Fatal(err) // a little stays free: for notes, not for output
		}
		for range 400 {
			m.print(job.Stdout, 60_000)
			m.print(job.Stderr, 3_000)
		}
		noted := func() bool { return m.j.tail.HasNote && !m.j.tail.NoteStale && len(m.j.tail.Gaps) > 0 }
		if !m.j.await(placeLimit, noted) {
			t.Fatal("nothing was dropped, or no note of it was written")
		}
		if held := m.j.placed.State.Size - m.j.placed.OnDisk; held < 1<<20 {
			t.Fatalf("%d bytes wait in memory: the test shows nothing", held)
		}
		if delivered {
			m.deliver(1 << 30)
		}
		if err := os.Remove(others); err != nil {
			t.Fatal(err)
		}
		m.stopWriter() // no more than a kill leaves undone
		before := m.j.placed.OnDisk
		m.crash(false)
		if unattached := m.j.UnattachedBytes(); !delivered && unattached == 0 {
			t.Errorf("the journal ended at %d on the disk; nothing of the rest was let go", before)
		}
		m.check()
		if err := m.j.Remove(); err != nil {
			t.Error(err)
		}
	}
}
