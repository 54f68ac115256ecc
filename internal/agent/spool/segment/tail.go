package segment

import (
	"bytes"
	"cmp"
	"maps"
	"slices"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Stream identifies one stream of one step.
type Stream struct {
	Step   int
	Stream job.Stream
}

// Count is output by bytes and lines.
type Count struct{ Bytes, Lines int64 }

func (c Count) plus(o Count) Count { return Count{c.Bytes + o.Bytes, c.Lines + o.Lines} }

// front is what precedes the raw bytes in an output record.
const front = journal.FrameSize + journal.OutputPrefix

// OutputBytes returns how many raw bytes an output record has.
func OutputBytes(rec []byte) int64 { return int64(len(rec) - front) }

func lines(b []byte) int64 { return int64(bytes.Count(b, []byte{'\n'})) }

// Gaps are what was dropped of each stream.
type Gaps map[Stream]*job.Gap

// Bytes returns how much was dropped.
func (g Gaps) Bytes() (n int64) {
	for _, gap := range g {
		n += gap.Bytes
	}
	return n
}

// Tail holds output that has no place in the journal yet, and what was dropped before it.
type Tail struct {
	Segments  []*Segment // oldest first
	Gaps      Gaps
	GapCount  int   // gaps of streams so far, of this tail and those before it
	Memory    int64 // held by the segments
	Moving    *Move // a segment on its way to its place
	HasRoom   bool  // there was room for it; go on while there is
	MoveAll   bool  // move all of it, also where there is no room
	Discarded []*Segment
	Commits   []CommitNote // what has got its place, and the disk does not show it yet
	HasNote   bool         // the disk may have a note about the tail
	NoteStale bool         // the note does not describe the tail as it is
	NoteFirst bool         // placed segments depend on the new note: it is written before them
	Late      []LateCommit // of an adopted journal, in order

	number  int // of the newest segment
	dropped int // number of the newest segment that was dropped
}

// NewTail returns an empty tail.
func NewTail() Tail { return Tail{Gaps: Gaps{}} }

// Empty reports whether there is nothing that has no place.
func (t *Tail) Empty() bool { return len(t.Segments) == 0 && len(t.Gaps) == 0 && t.Moving == nil }

// Size returns how long its segments are.
func (t *Tail) Size() int64 {
	var n int64
	for _, s := range t.Segments {
		n += s.Size
	}
	return n
}

// Append appends output of a stream, to a segment that has not reached the size most.
func (t *Tail) Append(rec []byte, key Stream, own bool, most int64, now time.Time) {
	n := len(t.Segments)
	t.NoteStale = t.NoteStale || t.HasNote && t.Empty() // it was of a tail before
	if n == 0 || t.Segments[n-1].Size >= most {
		t.number++
		t.Segments = append(t.Segments, &Segment{Number: t.number, Counts: map[Stream]Count{}, StartedAt: now})
		n++
	}
	s := t.Segments[n-1]
	t.Memory += s.Add(rec, true, own)
	s.Counts[key] = s.Counts[key].plus(Count{OutputBytes(rec), lines(rec[front:])})
}

// Adopt appends a segment that a dead agent left in its file.
func (t *Tail) Adopt(s *Segment) {
	t.UseNumber(s.Number)
	t.Segments = append(t.Segments, s)
}

// UseNumber notes that a segment has a number, so that no other gets it.
func (t *Tail) UseNumber(number int) { t.number = max(t.number, number) }

// DropOldest counts the oldest segment into gaps.
func (t *Tail) DropOldest(why string) {
	s := t.Segments[0]
	t.Segments = t.Segments[1:]
	t.AddGaps(t.Gaps, s.Counts, s.StartedAt, why)
	t.Memory -= s.Free()
	s.Dropped = true
	t.dropped, t.NoteStale = s.Number, true
	if s.Name != "" {
		t.Discarded = append(t.Discarded, s)
	}
}

// AddGaps adds what is lost to a set of gaps.
func (t *Tail) AddGaps(gaps Gaps, lost map[Stream]Count, at time.Time, why string) {
	for key, c := range lost {
		g := gaps[key]
		if g == nil {
			g = &job.Gap{Step: key.Step, Stream: key.Stream, Reason: why, At: at}
			gaps[key] = g
			t.GapCount++
		}
		g.Bytes += c.Bytes
		g.Lines += c.Lines
	}
}

// DropAll drops all of the tail, and returns how many bytes are missing then. They are in no gap:
// the server has more of the journal, and may have them.
func (t *Tail) DropAll(why string) (bytes int64) {
	bytes = t.dropLate()
	for len(t.Segments) > 0 {
		t.DropOldest(why)
	}
	bytes += t.Gaps.Bytes()
	t.Gaps, t.NoteStale, t.NoteFirst = Gaps{}, true, true
	return bytes
}

// Discard has the file of a segment deleted.
func (t *Tail) Discard(s *Segment) {
	t.Discarded, t.NoteStale = append(t.Discarded, s), true
}

// Commit notes what has got its place, until the disk shows it.
func (t *Tail) Commit(c CommitNote) {
	t.Commits, t.NoteStale = append(t.Commits, c), true
}

// ForgetCommits forgets the commits that the disk shows by itself.
func (t *Tail) ForgetCommits(p *Placed) {
	for len(t.Commits) > 0 && p.OnDisk >= t.Commits[0].End() {
		if s := p.Find(t.Commits[0].End()); t.Commits[0].Name != "" && (s == nil || !s.InPlace && !s.Released) {
			return
		}
		t.Commits = t.Commits[1:]
		t.NoteStale = true
	}
}

// Move is the oldest segment of the tail on its way to its place, with the gaps before it.
type Move struct {
	Segment   *Segment // nil: gaps only
	Gaps      Gaps
	Abandoned bool // it takes too long: it was counted into the gaps that follow
}

// BeginMove takes the oldest segment and all gaps out of the tail.
func (t *Tail) BeginMove() *Move {
	m := &Move{Gaps: t.Gaps}
	t.Moving, t.Gaps = m, Gaps{}
	if len(t.Segments) > 0 {
		m.Segment = t.Segments[0]
		t.Segments = t.Segments[1:]
	}
	return m
}

// AbandonMove counts a segment that cannot be moved into the gaps that follow it.
func (t *Tail) AbandonMove(m *Move, why string) {
	later := t.Gaps
	t.Gaps = m.Gaps
	if s := m.Segment; s != nil {
		t.AddGaps(t.Gaps, s.Counts, s.StartedAt, why)
		t.Memory -= s.Free()
		s.Dropped = true
		t.dropped = max(t.dropped, s.Number)
		if s.Name != "" {
			t.Discarded = append(t.Discarded, s)
		}
	}
	for key, g := range later {
		t.AddGaps(t.Gaps, map[Stream]Count{key: {g.Bytes, g.Lines}}, g.At, g.Reason)
	}
	t.NoteStale = true
}

// FinishMove gives the gaps of a move their place, and then the segment, whose records have
// frames. appendGap appends an encoded gap.
func (t *Tail) FinishMove(p *Placed, m *Move, frames []byte, appendGap func(rec []byte)) {
	at := p.State.Size
	records := p.GapRecords(m.Gaps)
	for _, rec := range records {
		appendGap(rec)
	}
	s := m.Segment
	if c := (CommitNote{At: at, After: p.OutputEnd, Records: slices.Concat(records...)}); s != nil && s.Name != "" {
		c.Name = s.Name
		t.Commit(c)
	} else if (t.HasNote || len(t.Discarded) > 0) && len(records) > 0 {
		t.Commit(c)
	}
	if t.HasNote {
		t.NoteStale, t.NoteFirst = true, true
	}
	if s == nil {
		return
	}
	p.Insert(s, frames)
	for key, c := range s.Counts {
		p.Streams[key] += c.Bytes
	}
	if s.Name == "" {
		p.OutputEnd = s.End()
	}
	t.Memory -= s.Held
	p.Memory += s.Held
}

func sorted[T any](m map[Stream]T) []Stream {
	return slices.SortedFunc(maps.Keys(m), func(a, b Stream) int {
		return cmp.Or(cmp.Compare(a.Step, b.Step), cmp.Compare(a.Stream, b.Stream))
	})
}
