package spool

import (
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// slow is a directory each of whose calls takes effect at once and returns late, as over a
// network: slower than anybody likes, but far from stuck.
type slow struct {
	disk.Local
	delay time.Duration
}

type slowFile struct {
	disk.File
	delay time.Duration
}

func (d slow) Create(name string) (disk.File, error) {
	f, err := d.Local.Create(name)
	<-time.After(d.delay)
	return slowFile{f, d.delay}, err
}

func (d slow) Replace(name string, data []byte, durable bool) error {
	err := d.Local.Replace(name, data, durable)
	<-time.After(d.delay)
	return err
}

func (f slowFile) WriteAt(p []byte, at int64) (int, error) {
	n, err := f.File.WriteAt(p, at)
	<-time.After(f.delay)
	return n, err
}

// What Persist calls written is on the disk, although a write was under way when it was
// called.
func TestPersistOnASlowDisk(t *testing.T) {
	s := open(t)
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, s, Limits{})
		delay := segment.StuckAfter / 2
		m.j.writer.Disk = slow{disk.Local(m.j.dir), delay}
		m.j.placed.Segments[0].File = slowFile{m.j.placed.Segments[0].File, delay}
		m.j.Start(func() {})
		m.print(job.Stdout, 60_000)
		if !m.j.await(placeLimit, func() bool { return m.j.placed.OnDisk == m.j.placed.State.Size }) {
			t.Fatal("the disk does not work")
		}
		m.endStep()
		if err := m.j.Finish(time.Unix(4, 0), journal.Final{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // the outcome is being written
		if err := m.j.Persist(); err != nil {
			t.Fatal(err)
		}
		if err := m.j.Close(); err != nil {
			t.Fatal(err)
		}
		j, rec, err := s.Adopt(t.Context(), only(t, s))
		if err != nil || !rec.Ended || rec.Torn != 0 {
			t.Fatalf("recovered %+v, error %v", rec, err)
		}
		if err := j.Remove(); err != nil {
			t.Error(err)
		}
	})
}

// A reader of what was appended waits as long as a disk takes that writes it, as long as they
// like for one that does not answer, and not at all for one that refuses.
func TestAwaitWritten(t *testing.T) {
	s := open(t)
	for name, c := range map[string]struct {
		file    func(disk.File, <-chan struct{}) disk.File
		took    time.Duration
		written bool
	}{
		"slow": {func(f disk.File, _ <-chan struct{}) disk.File { return slowFile{f, time.Second} }, time.Second, true},
		"dead": {func(f disk.File, gate <-chan struct{}) disk.File { return gatedFile{f, gate} }, 2 * time.Second, false},
		"refusing": {func(f disk.File, _ <-chan struct{}) disk.File {
			return faultyFile{f, &conditions{err: os.ErrPermission}}
		}, 0, false},
		"of no room": {func(f disk.File, _ <-chan struct{}) disk.File { return faultyFile{f, &conditions{err: disk.ErrNoRoom}} }, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, err := s.Create(meta, Limits{})
				if err != nil {
					t.Fatal(err)
				}
				gate := make(chan struct{})
				j.placed.Segments[0].File = c.file(j.placed.Segments[0].File, gate)
				j.Start(func() {})
				<-time.After(10 * time.Second) // the header is written, or tried, apart from what follows
				identify(t, j)
				begun := time.Now()
				j.AwaitWritten(2 * time.Second)
				took := time.Since(begun)
				j.mu.Lock()
				written := j.placed.OnDisk == j.placed.State.Size
				j.mu.Unlock()
				if took != c.took || written != c.written {
					t.Errorf("waited %s, written: %v", took, written)
				}
				close(gate)
				if err := j.Remove(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A disk that does not answer delays no caller for longer than its bound, and nothing is reported as
// written that is not. When the disk answers again, everything is written to it.
func TestPersistOnADiskThatDoesNotAnswer(t *testing.T) {
	s := open(t)
	synctest.Test(t, func(t *testing.T) {
		m := newModel(t, s, Limits{})
		gate := make(chan struct{})
		m.j.writer.Disk = gated{disk.Local(m.j.dir), gate}
		m.j.placed.Segments[0].File = gatedFile{m.j.placed.Segments[0].File, gate}
		m.j.Start(func() {})
		m.print(job.Stdout, 60_000)
		m.endStep()
		if err := m.j.Finish(time.Unix(4, 0), journal.Final{}); err != nil {
			t.Fatal(err)
		}
		size := m.j.Size()
		begun := time.Now()
		if err := m.j.Persist(); !errors.Is(err, segment.ErrSlow) {
			t.Errorf("persisting on a disk that does not answer: %v", err)
		}
		if err := m.j.Close(); !errors.Is(err, segment.ErrSlow) {
			t.Errorf("closing on a disk that does not answer: %v", err)
		}
		if took := time.Since(begun); took != placeLimit+closeLimit {
			t.Errorf("they took %s, not %s", took, placeLimit+closeLimit)
		}
		if _, _, err := s.Adopt(t.Context(), only(t, s)); !errors.Is(err, ErrBusy) {
			t.Errorf("the lock of a journal that is still written: %v", err)
		}
		close(gate)
		<-m.j.writer.Ended
		j, rec, err := s.Adopt(t.Context(), only(t, s))
		if err != nil || !rec.Ended || rec.Torn != 0 || rec.Size != size {
			t.Fatalf("of %d bytes %+v was recovered, error %v", size, rec, err)
		}
		if err := j.Remove(); err != nil {
			t.Error(err)
		}
		for what, err := range map[string]error{"Close": m.j.Close(), "Persist": m.j.Persist(), "Remove": m.j.Remove()} {
			if !errors.Is(err, os.ErrClosed) {
				t.Errorf("%s of a closed journal: %v", what, err)
			}
		}
	})
}
