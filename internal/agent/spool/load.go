package spool

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/journal"
)

// loadPlaced reads the row of segments from its beginning to the first break.
func (j *Journal) loadPlaced(ctx context.Context, all []segment.PlacedFile) error {
	if len(all) == 0 || all[0].Start != 0 {
		return ErrGone
	}
	known := j.meta.usableBeginning()
	first, err := segment.FirstOf(all, known, j.meta.Beginning != nil)
	if err != nil {
		return err
	}
	at := journal.Checkpoint{Open: -1}
	if first > 0 {
		at = *known
	} else if err := segment.CheckFirst(j.lock, all[0].Size); err != nil {
		return err
	}
	whole := true
	rest := all[min(first, len(all)):]
	for i, f := range rest {
		s := &segment.Segment{Start: f.Start, Name: disk.SegmentName(f.Start), InPlace: true, At: at}
		if whole && len(j.placed.Segments) > 0 && f.Start != j.placed.State.Size {
			whole = false
			if err := j.keepOutcome(rest[i:]); err != nil {
				return err
			}
		}
		if !whole { // behind a break: of no use
			if err := os.Remove(filepath.Join(j.dir, s.Name)); err != nil {
				return err
			}
			continue
		}
		torn, err := j.loadSegment(ctx, s, rest[i:])
		if err != nil {
			return err
		}
		if at, err = j.placed.State.Checkpoint(); err != nil {
			return err
		}
		whole = !torn
	}
	if len(j.placed.Segments) > 0 {
		return nil
	}
	// Nothing is left of it but what is known of its beginning.
	j.placed.State, err = journal.RecoverFrom(at, strings.NewReader(""))
	j.placed.Segments = []*segment.Segment{{Start: at.Size, At: at}}
	return err
}

// keepOutcome keeps the outcome, if it is behind damage, in meta.json: what is behind damage
// is cut off, and how the run ended must not be lost with it.
func (j *Journal) keepOutcome(rest []segment.PlacedFile) error {
	if j.placed.State.Ended {
		return nil
	}
	last := rest[len(rest)-1]
	f, err := disk.Open(filepath.Join(j.dir, disk.SegmentName(last.Start)))
	if err != nil {
		return err
	}
	defer f.Close()
	if found := journal.FindOutcome(f, last.Start, last.Size); found != nil {
		j.meta.Outcome = base64.StdEncoding.EncodeToString(found)
		return writeMeta(j.writer.Disk, j.meta)
	}
	return nil
}

// loadSegment opens the first of the segments in rest and recovers what it holds. torn is true
// when its end was cut off.
func (j *Journal) loadSegment(ctx context.Context, s *segment.Segment, rest []segment.PlacedFile) (torn bool, err error) {
	if s.Start == 0 {
		s.File = disk.LocalFile{File: j.lock}
	} else if s.File, err = disk.Open(filepath.Join(j.dir, s.Name)); err != nil {
		return false, err
	}
	src := io.NewSectionReader(segment.UntilDone(ctx, s.File), 0, rest[0].Size)
	var rec journal.Recovered
	if s.Start == 0 {
		rec, err = journal.Recover(src)
	} else {
		rec, err = journal.RecoverFrom(s.At, src)
	}
	if err != nil {
		return false, err
	}
	if rec.Torn > 0 && !rec.Ended {
		if err := j.keepOutcome(rest); err != nil {
			return true, fmt.Errorf("keep the outcome behind damage: %w", err)
		}
	}
	if rec.Torn > 0 {
		if err := s.File.Truncate(rec.Size - s.Start); err != nil {
			return true, fmt.Errorf("cut the torn end: %w", err)
		}
	}
	if rec.Size == 0 { // not even the header is whole
		rec = journal.NewRecovered()
		j.placed.AddHeader()
		j.placed.Segments[0].File = s.File
		j.placed.State = rec
		return true, nil
	}
	s.Size = rec.Size - s.Start
	s.Written = s.Size
	j.placed.State = rec
	j.placed.Segments = append(j.placed.Segments, s)
	return rec.Torn > 0, nil
}
