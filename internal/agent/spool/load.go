package spool

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/journal"
)

// segmentFile is a placed segment on the disk. Its end may be torn.
type segmentFile struct{ start, size int64 }

func (f segmentFile) end() int64 { return f.start + f.size }

// files are the segments of a directory, by place and by number.
type files struct {
	placed []segmentFile
	tail   []int64
}

func segmentsIn(dir string) (files, error) {
	var out files
	all, err := os.ReadDir(dir)
	if err != nil {
		return out, err
	}
	for _, f := range all {
		n, tail, ok := disk.ParseName(f.Name())
		switch {
		case !ok:
		case tail:
			out.tail = append(out.tail, n)
		default:
			info, err := f.Info()
			if err != nil {
				return out, err
			}
			out.placed = append(out.placed, segmentFile{n, info.Size()})
		}
	}
	slices.SortFunc(out.placed, func(a, b segmentFile) int { return cmp.Compare(a.start, b.start) })
	slices.Sort(out.tail)
	return out, nil
}

// firstOf decides where to begin to read the placed segments: at one of them, or (len(all)) at
// known, behind which there is none. known is what meta.json says of deleted segments, nil for
// nothing; damaged says that it says something that cannot be used.
//
// What can be read from byte 0 on is read from there, and where the files and known contradict
// each other, nobody can say which segments the server has: nothing is read, and nothing deleted.
func firstOf(all []segmentFile, known *journal.Checkpoint, damaged bool) (first int, err error) {
	whole := all[0].size > 0 // else the first segment was deleted
	unbroken := 1            // so many segments follow each other from byte 0 on
	for unbroken < len(all) && all[unbroken].start == all[unbroken-1].end() {
		unbroken++
	}
	if known == nil {
		if !whole && (len(all) > 1 || damaged) || damaged && unbroken < len(all) {
			return 0, ErrNoBeginning
		}
		return 0, nil
	}
	at := slices.IndexFunc(all, func(f segmentFile) bool { return f.start == known.Size })
	last := all[len(all)-1]
	switch {
	case at >= 0 && (!whole || at >= unbroken):
		return at, nil
	case at < 0 && known.Size >= last.end():
		return len(all), nil
	case whole && (at >= 0 || unbroken == len(all)):
		return 0, nil
	}
	return 0, ErrNoBeginning
}

// loadPlaced reads the row of segments from its beginning to the first break.
func (j *Journal) loadPlaced(ctx context.Context, all []segmentFile) error {
	if len(all) == 0 || all[0].start != 0 {
		return ErrGone
	}
	known := j.meta.usableBeginning()
	first, err := firstOf(all, known, j.meta.Beginning != nil)
	if err != nil {
		return err
	}
	at := journal.Checkpoint{Open: -1}
	if first > 0 {
		at = *known
	} else if err := j.checkFirst(all[0].size); err != nil {
		return err
	}
	whole := true
	rest := all[min(first, len(all)):]
	for i, f := range rest {
		s := &segment{start: f.start, name: disk.SegmentName(f.start), inPlace: true, at: at}
		if whole && len(j.placed) > 0 && f.start != j.state.Size {
			whole = false
			if err := j.keepOutcome(rest[i:]); err != nil {
				return err
			}
		}
		if !whole { // behind a break: of no use
			if err := os.Remove(filepath.Join(j.dir, s.name)); err != nil {
				return err
			}
			continue
		}
		torn, err := j.loadSegment(ctx, s, rest[i:])
		if err != nil {
			return err
		}
		if at, err = j.state.Checkpoint(); err != nil {
			return err
		}
		whole = !torn
	}
	if len(j.placed) > 0 {
		return nil
	}
	// Nothing is left of it but what is known of its beginning.
	j.state, err = journal.RecoverFrom(at, strings.NewReader(""))
	j.placed = []*segment{{start: at.Size, at: at}}
	return err
}

// checkFirst returns an error if the first segment holds something, and that is no journal: it
// was damaged, and is not cut off as if an agent had died while it began.
func (j *Journal) checkFirst(size int64) error {
	data := make([]byte, min(size, journal.HeaderSize+journal.MaxRecord))
	n, err := j.lock.ReadAt(data, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	data = bytes.TrimRight(data[:n], "\x00") // what a power cut leaves of what was not written yet
	if len(data) < journal.HeaderSize {
		return nil
	}
	err = journal.CheckHeader(data)
	if err == nil && len(data) > journal.HeaderSize {
		_, _, err = journal.Next(data[journal.HeaderSize:], journal.HeaderSize)
	}
	if err == nil || errors.Is(err, journal.ErrShort) {
		return nil
	}
	return fmt.Errorf("%w; it cannot be delivered: remove it when nobody needs it", err)
}

// keepOutcome keeps the outcome, if it is behind damage, in meta.json: what is behind damage
// is cut off, and how the run ended must not be lost with it.
func (j *Journal) keepOutcome(rest []segmentFile) error {
	if j.state.Ended {
		return nil
	}
	last := rest[len(rest)-1]
	f, err := disk.Open(filepath.Join(j.dir, disk.SegmentName(last.start)))
	if err != nil {
		return err
	}
	defer f.Close()
	if found := journal.FindOutcome(f, last.start, last.size); found != nil {
		j.meta.Outcome = base64.StdEncoding.EncodeToString(found)
		return writeMeta(j.disk, j.meta)
	}
	return nil
}

// loadSegment opens the first of the segments in rest and recovers what it holds. torn is true
// when its end was cut off.
func (j *Journal) loadSegment(ctx context.Context, s *segment, rest []segmentFile) (torn bool, err error) {
	if s.start == 0 {
		s.file = disk.LocalFile{j.lock}
	} else if s.file, err = disk.Open(filepath.Join(j.dir, s.name)); err != nil {
		return false, err
	}
	src := io.NewSectionReader(untilDone{ctx, s.file}, 0, rest[0].size)
	var rec journal.Recovered
	if s.start == 0 {
		rec, err = journal.Recover(src)
	} else {
		rec, err = journal.RecoverFrom(s.at, src)
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
		if err := s.file.Truncate(rec.Size - s.start); err != nil {
			return true, fmt.Errorf("cut the torn end: %w", err)
		}
	}
	if rec.Size == 0 { // not even the header is whole
		rec = journal.NewRecovered()
		j.addHeader()
		j.placed[0].file = s.file
		j.state = rec
		return true, nil
	}
	s.size = rec.Size - s.start
	s.written = s.size
	j.state = rec
	j.placed = append(j.placed, s)
	return rec.Torn > 0, nil
}

// untilDone is a file that can be read until a context ends.
type untilDone struct {
	ctx context.Context
	io.ReaderAt
}

func (u untilDone) ReadAt(p []byte, at int64) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.ReaderAt.ReadAt(p, at)
}
