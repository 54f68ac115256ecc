package segment

import (
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Placed holds the segments that have their place in the journal.
type Placed struct {
	Segments []*Segment        // in order; the last is appended to
	State    journal.Recovered // of everything that has its place
	Streams  map[Stream]int64  // bytes of each stream that have their place, gaps included
	Acked    int64             // how much the server has
	AckedAt  time.Time         // when Acked grew last in this process
	Trimmed  int64             // what precedes it was deleted, or is being deleted
	// OutputEnd is where the newest output ends that has its place and came to no file before.
	OutputEnd int64
	OnDisk    int64 // how far the journal is on the disk without a break
	Memory    int64 // held by the segments
	deletedAt time.Time
}

// deleteInterval is how often delivered segments are deleted that take little room.
const deleteInterval = time.Second

// NewPlaced returns an empty one, without even a header.
func NewPlaced() Placed {
	return Placed{State: journal.NewRecovered(), Streams: map[Stream]int64{}}
}

// AddHeader begins the first segment.
func (p *Placed) AddHeader() {
	p.Segments = []*Segment{{Name: disk.JournalFile, InPlace: true}}
	p.Memory += p.Segments[0].Add(journal.AppendHeader(nil), false, false)
}

// Last returns the segment that is appended to.
func (p *Placed) Last() *Segment { return p.Segments[len(p.Segments)-1] }

// Unsent returns how much the server does not have yet.
func (p *Placed) Unsent() int64 { return p.State.Size - p.Acked }

// Append appends a record at its place, to a segment that has not reached the size most.
func (p *Placed) Append(rec []byte, own bool, most int64) error {
	last := p.Last()
	full := last.Released || last.Size >= most
	if full {
		var err error
		if last, err = p.Next(); err != nil {
			return err
		}
	}
	if err := p.State.Take(rec); err != nil {
		return err
	}
	if full {
		p.Segments = append(p.Segments, last)
	}
	p.Memory += last.Add(rec, journal.Type(rec[8]) == journal.TypeOutput, own)
	return nil
}

// Next returns an empty segment behind all that have their place.
func (p *Placed) Next() (*Segment, error) {
	at, err := p.State.Checkpoint()
	return &Segment{Start: at.Size, At: at}, err
}

// Insert gives a segment its place behind all others. frames are those of its records.
func (p *Placed) Insert(s *Segment, frames []byte) {
	s.Start = p.State.Size
	s.At, _ = p.State.Checkpoint() // SHA-256 can always say its state
	for ; len(frames) >= journal.FrameSize; frames = frames[journal.FrameSize:] {
		p.State.TakeFrame(frames)
	}
	p.Segments = append(p.Segments, s)
}

// Find returns the segment with the byte at an offset; nil when there is none.
func (p *Placed) Find(offset int64) *Segment {
	for i := len(p.Segments) - 1; i >= 0; i-- {
		if s := p.Segments[i]; offset >= s.Start {
			if offset < s.End() {
				return s
			}
			return nil
		}
	}
	return nil
}

// Unfinished returns the first segment that is not whole in the file of its place; nil when all
// are.
func (p *Placed) Unfinished() *Segment {
	for _, s := range p.Segments {
		if !s.Released && (!s.InPlace || s.Written < s.Size) {
			return s
		}
	}
	return nil
}

// HasHoles reports whether something of the journal will never be written.
func (p *Placed) HasHoles() bool {
	for _, s := range p.Segments {
		if s.Released {
			return true
		}
	}
	return false
}

// Advance notes how far the journal is on the disk, and reports whether that is further.
func (p *Placed) Advance() bool {
	before := p.OnDisk
	for i, s := range p.Segments {
		switch {
		case s.End() <= p.OnDisk:
			continue
		case s.Released:
			p.OnDisk = s.End()
			continue
		case !s.InPlace:
			return p.OnDisk > before
		}
		p.OnDisk = max(p.OnDisk, s.Start+s.Written)
		if s.Written < s.Size || i == len(p.Segments)-1 {
			break
		}
	}
	return p.OnDisk > before
}

// Acknowledge notes how much the server has. It may fall, after a server has lost its end.
func (p *Placed) Acknowledge(size int64, now time.Time) {
	if size > p.Acked {
		p.AckedAt = now
	}
	p.Acked = size
}

// Release gives back the memory of segments that the server has and that are not whole on the
// disk: they will never be written.
func (p *Placed) Release() {
	for _, s := range p.Segments {
		if s.End() > p.Acked {
			break
		}
		if (s.Written < s.Size || !s.InPlace) && !s.Released {
			s.Released = true
			p.Memory -= s.Free()
		}
	}
}

// Deletable returns how many segments are to be deleted now, because the server has them. The
// newest of them stays, for a server that loses its last moments with its power, unless the room is
// needed. The disk is waited for when that is done, so it is done rarely, unless they take at least
// much, or the room is needed. Those with holes are always deleted.
func (p *Placed) Deletable(roomNeeded bool, much int64, now time.Time) int {
	n := 0
	for n < len(p.Segments)-1 && p.Segments[n].End() <= p.Acked {
		n++
	}
	least := 0 // up to the last one with a hole
	for i, s := range p.Segments[:n] {
		if s.Released {
			least = i + 1
		}
	}
	if !roomNeeded {
		n--
	}
	if n = max(n, least); n <= 0 {
		return 0
	}
	size := p.Segments[n].Start - p.Segments[0].Start
	if least > 0 || roomNeeded || size >= much || now.Sub(p.deletedAt) >= deleteInterval {
		return n
	}
	return 0
}

// RemoveFirst removes the first n segments, whose files are deleted.
func (p *Placed) RemoveFirst(n int, now time.Time) {
	p.deletedAt = now
	for _, s := range p.Segments[:n] {
		p.Memory -= s.Free()
	}
	p.Segments = append([]*Segment(nil), p.Segments[n:]...)
	p.Advance()
}

// Reserved returns how much is allocated on the disk behind what is written.
func (p *Placed) Reserved() (n int64) {
	for _, s := range p.Segments {
		n += max(0, s.Ready-s.Written)
	}
	return n
}

// RecentlyAcknowledged reports whether the server has acknowledged more within recentLimit. Then it
// most probably takes also what a full disk has no room for.
func (p *Placed) RecentlyAcknowledged(now time.Time) bool {
	return !p.AckedAt.IsZero() && now.Sub(p.AckedAt) < recentLimit
}

// recentLimit is how long after an acknowledgement the server counts as one that takes more.
const recentLimit = 10 * time.Second

// GapRecords encodes gaps, and counts them as kept at their place.
func (p *Placed) GapRecords(gaps map[Stream]*job.Gap) [][]byte {
	var out [][]byte
	for _, key := range sorted(gaps) {
		g := *gaps[key]
		g.AtBytes = p.Streams[key]
		rec, err := journal.JSONRecord(journal.TypeGap, g.At, g)
		if err != nil {
			continue // a gap can always be encoded
		}
		out = append(out, journal.AppendRecord(nil, rec))
		p.Streams[key] += g.Bytes
	}
	return out
}
