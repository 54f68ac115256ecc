package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/journal"
)

// Adopt takes over a journal that no living agent owns, cuts off a torn end, and returns it
// with what it holds. The newest output, which the dead agent kept in the tail, has no place in
// the journal yet: PlaceTail gives it one, DropTail drops it. Adopt returns ErrBusy, ErrGone, an error of the disk
// or format, or ctx's.
func (s *Spool) Adopt(ctx context.Context, e Entry) (*Journal, journal.Recovered, error) {
	var none journal.Recovered
	path := filepath.Join(e.Path, disk.JournalFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none, ErrGone
	}
	if err != nil {
		return nil, none, fmt.Errorf("spool: open %s: %w", path, err)
	}
	j, err := adopt(ctx, e, file)
	if err != nil {
		_ = file.Close()
		return nil, none, err
	}
	return j, j.placed.State, nil
}

func adopt(ctx context.Context, e Entry, file *os.File) (*Journal, error) {
	if err := disk.Lock(file); err != nil {
		return nil, err
	}
	// The owner may have delivered and removed it between the open and the lock.
	mine, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("spool: %s: %w", file.Name(), err)
	}
	there, err := os.Stat(file.Name())
	if err != nil || !os.SameFile(mine, there) {
		return nil, ErrGone
	}
	meta, err := readMeta(e.Path) // it may have changed since it was listed
	if err != nil {
		return nil, err
	}
	j := newJournal(meta, Limits{Unsent: maxUnsent})
	j.dir, j.writer.Disk, j.lock = e.Path, disk.Local(e.Path), file
	if err := j.load(ctx); err != nil {
		closeAll(j.files())
		if errors.Is(err, segment.ErrNoBeginning) { // as often as one tries
			j.meta.Refused = err.Error()
			_ = writeMeta(j.writer.Disk, j.meta) // it says so once more then
		}
		return nil, fmt.Errorf("spool: read %s: %w", e.Path, err)
	}
	j.placed.Acked = min(max(meta.Acknowledged, j.placed.Trimmed), j.placed.State.Size)
	return j, nil
}

// load reads what the directory holds.
func (j *Journal) load(ctx context.Context) error {
	note, noted, err := readNote(j.dir)
	if err != nil {
		return err
	}
	found, err := segment.FilesIn(j.dir)
	if err != nil {
		return err
	}
	if err := j.loadPlaced(ctx, found.Placed); err != nil {
		return err
	}
	j.placed.OnDisk, j.placed.Trimmed = j.placed.Segments[0].Start, j.placed.Segments[0].Start
	j.tail.HasNote = noted
	j.placed.Advance()
	held := j.placed.State.Size
	attached := slices.DeleteFunc(slices.Clone(note.Commits), func(c segment.CommitNote) bool { return c.After > held })
	done, err := j.loadCommits(ctx, attached)
	if err == nil {
		err = j.applyLate(false)
	}
	if err != nil {
		return err
	}
	err = j.loadTail(ctx, slices.DeleteFunc(found.Tail, func(n int64) bool { return slices.Contains(done, n) }), note)
	if err == nil && note.After > held {
		// Output before the tail was in the memory of the agent that died.
		j.unattached = j.tail.DropAll("the agent died")
	}
	return err
}

// UnattachedBytes returns how many bytes of output were dropped because the output before them was
// in the memory of the agent that died.
func (j *Journal) UnattachedBytes() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unattached
}

// loadCommits reads the records and segments that the commits of a note name. It returns the
// numbers of those segments of the tail.
func (j *Journal) loadCommits(ctx context.Context, commits []segment.CommitNote) (numbers []int64, err error) {
	for _, note := range commits {
		c, err := segment.NewLateCommit(note)
		if err != nil {
			return numbers, err
		}
		if note.Name != "" {
			n, _, _ := disk.ParseName(note.Name)
			c.Segment, err = segment.OpenTail(ctx, j.dir, int(n), j.placed.State.LastAt)
			switch {
			case errors.Is(err, fs.ErrNotExist): // it is gone, or has its place
				c.Segment = nil
			case err != nil:
				return numbers, err
			default:
				j.tail.UseNumber(c.Segment.Number)
				if c.Frames, err = segment.ReadFrames(c.Segment.Reader(), c.Segment.Size); err != nil {
					return numbers, err
				}
			}
			numbers = append(numbers, n)
		}
		j.tail.Late = append(j.tail.Late, c)
	}
	return numbers, nil
}

// applyLate gives late commits their place; see segment.Tail.ApplyLate.
func (j *Journal) applyLate(all bool) error {
	return j.tail.ApplyLate(&j.placed, all, func(rec []byte) error { return j.appendPlaced(rec, false) })
}

// loadTail reads the segments that have no place yet.
func (j *Journal) loadTail(ctx context.Context, numbers []int64, note segment.Note) error {
	t := &j.tail
	t.Restore(note, &j.placed)
	for _, n := range numbers {
		path := filepath.Join(j.dir, disk.TailName(int(n)))
		if int(n) <= note.Dropped || j.placed.State.Ended {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		s, err := segment.OpenTail(ctx, j.dir, int(n), j.placed.State.LastAt)
		if err != nil {
			return err
		}
		t.Adopt(s)
	}
	return nil
}

// readNote reads the note about the tail, if there is one. If it is damaged, it is not known where
// the tail belongs: nothing of it is attached.
func readNote(dir string) (n segment.Note, noted bool, err error) {
	data, err := disk.ReadSmall(filepath.Join(dir, disk.NoteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil && !errors.Is(err, disk.ErrTooLarge) {
		return n, false, fmt.Errorf("read %s: %w", disk.NoteFile, err)
	}
	if json.Unmarshal(data, &n) != nil {
		n = segment.Note{After: math.MaxInt64}
	}
	return n, true, nil
}
