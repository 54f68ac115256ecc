package spool

import (
	"context"
	"errors"
	"io/fs"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// lateCommit is what had got its place before an agent died, as far as the disk does not show
// it: some records, and a segment of the tail behind them.
type lateCommit struct {
	note    segment.CommitNote
	records [][]byte
	segment *segment.Segment // nil: none, or it has the name of its place
	frames  []byte           // of the segment's records
}

// loadCommits reads what the commits of a note speak of. It returns the numbers of the
// segments of the tail that belong to them.
func (j *Journal) loadCommits(ctx context.Context, commits []segment.CommitNote) (numbers []int64, err error) {
	for _, c := range commits {
		late := lateCommit{note: c}
		for rest, at := c.Records, c.At; len(rest) > 0; {
			_, n, err := journal.Next(rest, at)
			if err != nil {
				return numbers, err
			}
			late.records = append(late.records, rest[:n])
			rest, at = rest[n:], at+int64(n)
		}
		if c.Name != "" {
			n, _, _ := disk.ParseName(c.Name)
			if late.segment, late.frames, err = j.loadCommitted(ctx, n); err != nil {
				return numbers, err
			}
			numbers = append(numbers, n)
		}
		j.late = append(j.late, late)
	}
	return numbers, nil
}

// loadCommitted opens a segment of the tail; nil when it is gone, or has its place.
func (j *Journal) loadCommitted(ctx context.Context, n int64) (*segment.Segment, []byte, error) {
	s, err := j.loadTailSegment(ctx, n)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	j.tail.Take(int(n))
	frames, err := segment.ReadFrames(s.Reader(), s.Size)
	return s, frames, err
}

// redo gives late commits their place: those that go on from what the disk has, or with all
// also those that do not. What stood before them and was lost was not output; the server may
// have it, which is why they have to wait until it was asked.
func (j *Journal) redo(all bool) error {
	for len(j.late) > 0 && (all || j.late[0].note.At <= j.placed.State.Size) {
		c := j.late[0]
		j.late = j.late[1:]
		if size, end := j.placed.State.Size, c.note.End(); j.placed.State.Ended || size > end || size == end && c.segment == nil {
			j.forget(c)
			continue
		}
		if err := j.apply(c); err != nil {
			return err
		}
	}
	return nil
}

// apply appends a late commit.
func (j *Journal) apply(c lateCommit) error {
	t := &j.tail
	done := j.placed.State.Size - c.note.At // of its records
	note := segment.CommitNote{At: j.placed.State.Size, After: c.note.After}
	for _, rec := range c.records {
		if done -= int64(len(rec)); done >= 0 {
			continue
		}
		if err := j.appendPlaced(rec, false); err != nil {
			return err
		}
		note.Records = append(note.Records, rec...)
	}
	if c.segment != nil {
		note.Name = c.segment.Name
		j.placed.Insert(c.segment, c.frames)
	}
	t.Commit(note)
	return nil
}

// forget drops a late commit: the journal has it.
func (j *Journal) forget(c lateCommit) {
	if c.segment != nil {
		j.tail.Discard(c.segment)
	}
}

// dropLate drops all late commits and returns how many bytes of output they are.
func (j *Journal) dropLate() (bytes int64) {
	for _, c := range j.late {
		for _, rec := range c.records {
			var g job.Gap
			if rec, _, err := journal.Next(rec, 0); err == nil && journal.Decode(rec, &g) == nil {
				bytes += g.Bytes
			}
		}
		if c.segment != nil {
			for _, n := range c.segment.Counts {
				bytes += n.Bytes
			}
		}
		j.forget(c)
	}
	j.late = nil
	return bytes
}
