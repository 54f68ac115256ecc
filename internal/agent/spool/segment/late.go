package segment

import (
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// LateCommit is a move of the tail to its place that an agent had made before it died, and that the
// files do not show: some records, and a segment of the tail behind them.
type LateCommit struct {
	Note    CommitNote
	Segment *Segment // nil: none, or it has the name of its place
	Frames  []byte   // of the segment's records
	records [][]byte
}

// NewLateCommit returns the late commit that a note describes, without its segment.
func NewLateCommit(note CommitNote) (LateCommit, error) {
	c := LateCommit{Note: note}
	for rest, at := note.Records, note.At; len(rest) > 0; {
		_, n, err := journal.Next(rest, at)
		if err != nil {
			return c, err
		}
		c.records = append(c.records, rest[:n])
		rest, at = rest[n:], at+int64(n)
	}
	return c, nil
}

// ApplyLate gives late commits their place: those that continue the placed segments, or with all
// also those that do not. What was before them and was lost was not output; the server may
// have it, which is why they have to wait until it was asked. appendPlaced appends a record.
func (t *Tail) ApplyLate(p *Placed, all bool, appendPlaced func(rec []byte) error) error {
	for len(t.Late) > 0 && (all || t.Late[0].Note.At <= p.State.Size) {
		c := t.Late[0]
		t.Late = t.Late[1:]
		if size, end := p.State.Size, c.Note.End(); p.State.Ended || size > end || size == end && c.Segment == nil {
			t.forget(c)
			continue
		}
		if err := t.applyCommit(p, c, appendPlaced); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tail) applyCommit(p *Placed, c LateCommit, appendPlaced func(rec []byte) error) error {
	done := p.State.Size - c.Note.At // of its records
	note := CommitNote{At: p.State.Size, After: c.Note.After}
	for _, rec := range c.records {
		if done -= int64(len(rec)); done >= 0 {
			continue
		}
		if err := appendPlaced(rec); err != nil {
			return err
		}
		note.Records = append(note.Records, rec...)
	}
	if c.Segment != nil {
		note.Name = c.Segment.Name
		p.Insert(c.Segment, c.Frames)
	}
	t.Commit(note)
	return nil
}

// forget drops a late commit: the journal has it.
func (t *Tail) forget(c LateCommit) {
	if c.Segment != nil {
		t.Discard(c.Segment)
	}
}

// dropLate drops all late commits and returns how many bytes of output they are.
func (t *Tail) dropLate() (bytes int64) {
	for _, c := range t.Late {
		for _, rec := range c.records {
			var g job.Gap
			if rec, _, err := journal.Next(rec, 0); err == nil && journal.Decode(rec, &g) == nil {
				bytes += g.Bytes
			}
		}
		if c.Segment != nil {
			for _, n := range c.Segment.Counts {
				bytes += n.Bytes
			}
		}
		t.forget(c)
	}
	t.Late = nil
	return bytes
}
