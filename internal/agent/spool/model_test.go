package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// model drives a journal, plays its server, and remembers what was printed.
type model struct {
	t interface {
		Fatal(args ...any)
		Fatalf(format string, args ...any)
	}
	spool   *Spool
	limits  Limits
	j       *Journal
	disk    *conditions
	delays  uint64 // seed of how slow the disk is, which a goroutine then writes to; 0: it takes no time, and the goroutine that appends writes
	printed map[segment.Stream][]byte
	served  []byte
	step    int
	missing int  // bytes in gaps
	risky   bool // a crash may have lost what the disk did not take
}

func (m *model) start() {
	j, err := m.spool.Create(meta, m.limits)
	if err != nil {
		m.t.Fatal(err)
	}
	m.j = j
	m.interpose()
	m.identify()
}

func (m *model) identify() {
	if err := m.j.AppendJSON(journal.TypeAttempt, time.Unix(1, 0), journal.Attempt{Run: meta.Run, Attempt: 2}); err != nil {
		m.t.Fatal(err)
	}
}

func (m *model) interpose() {
	volatile := map[string]bool{disk.MetaFile: true}
	if m.disk != nil {
		volatile = m.disk.volatile // it is the same disk
	}
	m.disk = &conditions{volatile: volatile}
	if m.delays > 0 {
		m.disk.delays = rand.New(rand.NewPCG(m.delays, 0))
	}
	m.j.mu.Lock()
	m.j.writer.Disk = faulty{disk.Local(m.j.dir), m.disk}
	for _, list := range [][]*segment.Segment{m.j.placed.Segments, m.j.tail.Segments} {
		for _, s := range list {
			if s.File != nil {
				s.File = faultyFile{s.File, m.disk}
			}
		}
	}
	m.j.mu.Unlock()
	if m.delays > 0 {
		m.j.Start(func() {})
	}
}

func (m *model) print(stream job.Stream, n int) {
	key := segment.Stream{Step: m.step, Stream: stream}
	data := make([]byte, n)
	for i := range data {
		at := len(m.printed[key]) + i
		data[i] = byte(at*7 + at>>8 + len(stream))
		if at%61 == 60 {
			data[i] = '\n'
		}
	}
	m.printed[key] = append(m.printed[key], data...)
	rec := journal.AppendRecord(nil, journal.OutputRecord(time.Unix(2, 0), journal.Output{Step: m.step, Stream: stream, Data: data}))
	own := n%2 == 0
	if next, _, _ := m.j.Output(rec, m.step, stream, own); own && next != nil && len(next) != cap(rec) {
		m.t.Fatalf("memory of %d bytes came back for %d", len(next), cap(rec))
	}
}

// deliver sends a part of what can be read.
func (m *model) deliver(most int) {
	n := min(int(m.j.Unsent()), most)
	buf := make([]byte, n)
	at := m.j.Acknowledged()
	got, err := m.j.ReadAt(buf, at)
	if err != nil && !errors.Is(err, io.EOF) {
		m.t.Fatalf("read %d bytes at %d: %v", n, at, err)
	}
	m.served = append(m.served[:at], buf[:got]...)
	m.j.Acknowledge(int64(len(m.served)))
}

func (m *model) breakDisk(err error) { m.disk.set(err) }

func (m *model) heal() {
	m.disk.set(nil)
	m.j.mu.Lock()
	m.j.writer.RetryAt = time.Time{}
	m.j.mu.Unlock()
	m.j.wake()
}

// stopWriter ends the journal at once, wherever its writer is, and closes its files as the
// end of a process does. Calling it again is harmless.
func (m *model) stopWriter() {
	j := m.j
	j.mu.Lock()
	j.writer.Closed = true
	j.mu.Unlock()
	j.wake()
	if j.writer.Async() {
		<-j.writer.Ended
	}
	closeAll(j.files())
	_ = j.lock.Close() // the test may have closed it
}

// crash ends the agent as kill -9 does, and lets another adopt its journal. A loss of power
// also empties the small files that nobody has made durable.
func (m *model) crash(power bool) {
	m.disk.die()
	m.stopWriter()
	for name, lost := range m.disk.volatile {
		if !power || !lost {
			continue
		}
		if err := os.Truncate(filepath.Join(m.j.dir, name), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.t.Fatal(err)
		}
	}
	unwritten := m.j.tail.NoteStale || slices.ContainsFunc(m.j.tail.Segments, func(s *segment.Segment) bool { return s.Written < s.Size })
	m.risky = m.risky || unwritten || m.j.placed.OnDisk < m.j.placed.State.Size || m.j.DiskError() != nil || m.j.writer.FullReason != ""
	given := slices.ContainsFunc(m.j.placed.Segments, func(s *segment.Segment) bool { return s.Released }) // the server had it before the disk
	entries, err := m.spool.List()
	if err != nil || len(entries) != 1 {
		m.t.Fatalf("entries %+v, error %v", entries, err)
	}
	j, rec, err := m.spool.Adopt(context.Background(), entries[0])
	if err != nil {
		m.t.Fatal(err)
	}
	m.j = j
	m.j.limits = m.limits.withDefaults()
	m.interpose()
	if size := int64(len(m.served)); size > rec.Size {
		if !m.risky && !given {
			m.t.Fatalf("the server has %d bytes, this host only %d", size, rec.Size)
		}
		whole := size
		m.j.DropTail()
		if _, err := m.j.Extend(m.served[rec.Size:]); err != nil {
			m.t.Fatal(err)
		}
		m.served = m.served[:min(whole, m.j.Size())]
	}
	m.j.Acknowledge(int64(len(m.served)))
	if m.j.Recovered().Attempt.Run == "" { // it was lost; no agent would go on without it
		m.identify()
	}
	m.j.PlaceTail()
	m.step++ // nobody goes on with the streams of a dead agent
}

func (m *model) endStep() {
	m.j.PlaceTail()
	if err := m.j.AppendJSON(journal.TypeStepEnded, time.Unix(3, 0), journal.StepEnded{Index: m.step}); err != nil {
		m.t.Fatal(err)
	}
	m.step++
}

// check compares everything that was delivered with everything that was printed.
func (m *model) check() {
	if err := m.j.Finish(time.Unix(4, 0), journal.Final{}); err != nil {
		m.t.Fatal(err)
	}
	for tries := 0; m.j.Waiting() > 0; tries++ {
		if tries > 1000 {
			m.t.Fatalf("%d bytes wait and cannot be read", m.j.Waiting())
		}
		m.j.await(segment.StuckAfter, func() bool { return m.j.readable() > m.j.placed.Acked }) // the writer may be a goroutine
		m.deliver(1 << 30)
	}
	m.compare()
}

// compare compares what the server has with what was printed.
func (m *model) compare() {
	rec, err := journal.Recover(bytes.NewReader(m.served))
	if err != nil || rec.Torn != 0 || !rec.Ended || rec.Final.Bytes >= rec.Size {
		m.t.Fatalf("delivered %d bytes: %+v, error %v", len(m.served), rec, err)
	}
	seen := map[segment.Stream]int{}
	r := journal.NewReader(bytes.NewReader(m.served))
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			m.t.Fatal(err)
		}
		m.checkRecord(rec, seen)
	}
	for key, want := range m.printed {
		if got := seen[key]; got != len(want) && (!m.risky || got > len(want)) {
			m.t.Fatalf("step %d %s: %d bytes are accounted for, %d were printed", key.Step, key.Stream, got, len(want))
		}
	}
}

func (m *model) checkRecord(rec journal.Record, seen map[segment.Stream]int) {
	switch rec.Type {
	case journal.TypeOutput:
		o, err := journal.DecodeOutput(rec)
		if err != nil {
			m.t.Fatal(err)
		}
		key := segment.Stream{Step: o.Step, Stream: o.Stream}
		from := seen[key]
		if from+len(o.Data) > len(m.printed[key]) || !bytes.Equal(o.Data, m.printed[key][from:from+len(o.Data)]) {
			m.t.Fatalf("step %d %s: %d bytes at %d are not what was printed there", o.Step, o.Stream, len(o.Data), from)
		}
		seen[key] += len(o.Data)
	case journal.TypeGap:
		var g job.Gap
		if err := journal.Decode(rec, &g); err != nil {
			m.t.Fatal(err)
		}
		key := segment.Stream{Step: g.Step, Stream: g.Stream}
		from, to := g.AtBytes, g.AtBytes+g.Bytes
		if from != int64(seen[key]) || to > int64(len(m.printed[key])) || lines(m.printed[key][from:to]) != g.Lines || g.Reason == "" {
			m.t.Fatalf("gap %+v; %d bytes stand before it, %d were printed", g, seen[key], len(m.printed[key]))
		}
		seen[key] = int(to)
		m.missing += int(g.Bytes)
	}
}

func lines(b []byte) int64 { return int64(bytes.Count(b, []byte{'\n'})) }

// Whatever comes together of output, delivery, full and failing disks, ends of steps and
// crashes: what the server has in the end is what was printed, byte for byte, or a gap of
// exactly what is missing.
func TestNothingIsLostUnsaid(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) { drive(rt, dir, 0) })
}

// The same on a disk that takes its time for each call, now and then more than anybody waits
// for. What Persist calls written can be read back at any moment after it.
func TestNothingIsLostOnASlowDisk(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		seed := rapid.Uint64Range(1, math.MaxUint64).Draw(rt, "delays")
		var failed any
		synctest.Test(t, func(*testing.T) {
			defer func() { failed = recover() }() // rapid reports a failure by a panic, and expects it in its own goroutine
			drive(rt, dir, seed)
		})
		switch { // two places, because rapid distinguishes failures by where they come from
		case fmt.Sprintf("%T", failed) == "rapid.invalidData":
			panic(failed)
		case failed != nil:
			panic(failed)
		}
	})
}

// drive does what rt draws to a journal under dir.
func drive(rt *rapid.T, dir string, delays uint64) {
	state, err := os.MkdirTemp(dir, "")
	if err != nil {
		rt.Fatal(err)
	}
	defer os.RemoveAll(state)
	s, err := Open(state)
	if err != nil {
		rt.Fatal(err)
	}
	m := &model{t: rt, spool: s, printed: map[segment.Stream][]byte{}, delays: delays, limits: Limits{
		Unsent: rapid.SampledFrom([]int64{64 << 10, 300 << 10, 4 << 20}).Draw(rt, "limit"), Memory: 64 << 10,
		Segment: rapid.SampledFrom([]int64{2 << 10, 16 << 10}).Draw(rt, "segment"),
	}}
	m.start()
	defer func() { m.stopWriter() }()
	streams := rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr})
	actions := map[string]func(*rapid.T){
		"print": func(rt *rapid.T) { m.print(streams.Draw(rt, "stream"), rapid.IntRange(1, 9000).Draw(rt, "bytes")) },
		"burst": func(rt *rapid.T) {
			for range rapid.IntRange(5, 60).Draw(rt, "records") {
				m.print(streams.Draw(rt, "stream"), 5000)
			}
		},
		"note": func(rt *rapid.T) {
			_ = m.j.AppendJSON(journal.TypeNote, time.Unix(2, 0), journal.Note{Text: "n"}) // may be refused
		},
		"deliver":     func(rt *rapid.T) { m.deliver(rapid.IntRange(0, 100_000).Draw(rt, "most")) },
		"deliver all": func(rt *rapid.T) { m.deliver(1 << 30) },
		"end step":    func(rt *rapid.T) { m.endStep() },
		"persist":     func(rt *rapid.T) { m.persist() },
		"disk full":   func(rt *rapid.T) { m.breakDisk(syscall.ENOSPC) },
		"disk fails":  func(rt *rapid.T) { m.breakDisk(syscall.EIO) },
		"disk heals":  func(rt *rapid.T) { m.heal() },
		"crash":       func(rt *rapid.T) { m.crash(false) },
		"power cut":   func(rt *rapid.T) { m.crash(true) },
	}
	if delays > 0 {
		actions["pause"] = func(rt *rapid.T) {
			<-time.After(time.Duration(rapid.IntRange(1, 2000).Draw(rt, "ms")) * time.Millisecond)
		}
	}
	rt.Repeat(actions)
	m.heal()
	m.j.PlaceTail()
	m.check()
}

// persist brings the journal to the disk. If it says that it did, a copy of the directory
// holds all of it.
func (m *model) persist() {
	size := m.j.Size()
	if err := m.j.Persist(); err != nil {
		return // an honest answer; what it is worth is seen in the end
	}
	copied := filepath.Join(m.spool.Dir(), ".copy", filepath.Base(m.j.Path()))
	defer os.RemoveAll(filepath.Dir(copied))
	m.disk.effect.Lock()
	err := os.CopyFS(copied, os.DirFS(m.j.Path()))
	m.disk.effect.Unlock()
	if err != nil {
		m.t.Fatal(err)
	}
	j, rec, err := m.spool.Adopt(context.Background(), Entry{Path: copied})
	if err != nil {
		m.t.Fatal(err)
	}
	if rec.Size < size || rec.Torn != 0 || !j.tail.Empty() {
		note, _ := os.ReadFile(filepath.Join(m.j.Path(), disk.NoteFile)) // for the eye
		m.t.Fatalf("of %d bytes that are reported to be on the disk, %d are there; %d are torn, the tail is %+v; note %s", size, rec.Size, rec.Torn, j.tail, note)
	}
	if err := j.Close(); err != nil {
		m.t.Fatal(err)
	}
}
