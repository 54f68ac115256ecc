package spool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/journal"
)

// ErrNoBeginning says that segments of a journal were deleted because the server had them, and
// that what must be known of them is lost. What is left is kept, and nobody can deliver it.
var ErrNoBeginning = errors.New("delivered parts of the journal were deleted, and meta.json, which says what they were, is lost or damaged: the server has the beginning, and the rest is of use to people only")

// Adopt takes over a journal that no living agent owns, cuts off a torn end, and returns it
// with what it holds. What the dead agent kept of the newest output has no place yet:
// Settle gives it one, DropTail forgets it. Adopt returns ErrBusy, ErrGone, an error of the disk
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
	return j, j.state, nil
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
	j := newJournal(meta, Limits{Unsent: mostUnsent})
	j.dir, j.disk, j.lock = e.Path, disk.Local(e.Path), file
	if err := j.load(ctx); err != nil {
		closeAll(j.files())
		if errors.Is(err, ErrNoBeginning) { // as often as one tries
			j.meta.Refused = err.Error()
			_ = writeMeta(j.disk, j.meta) // it says so once more then
		}
		return nil, fmt.Errorf("spool: read %s: %w", e.Path, err)
	}
	j.acked = min(max(meta.Acknowledged, j.trimmed), j.state.Size)
	return j, nil
}

// load reads what the directory holds.
func (j *Journal) load(ctx context.Context) error {
	note, noted, err := readNote(j.dir)
	if err != nil {
		return err
	}
	found, err := segmentsIn(j.dir)
	if err != nil {
		return err
	}
	if err := j.loadPlaced(ctx, found.placed); err != nil {
		return err
	}
	j.onDisk, j.trimmed = j.placed[0].start, j.placed[0].start
	j.tail.hasNote = noted
	j.advance()
	held := j.state.Size
	attached := slices.DeleteFunc(slices.Clone(note.Commits), func(c commitNote) bool { return c.After > held })
	done, err := j.loadCommits(ctx, attached)
	if err == nil {
		err = j.redo(false)
	}
	if err != nil {
		return err
	}
	err = j.loadTail(ctx, slices.DeleteFunc(found.tail, func(n int64) bool { return slices.Contains(done, n) }), note)
	if err == nil && note.After > held {
		// Output that stands before the tail was in the memory of an agent that died.
		j.unattached = j.dropTail("the agent died")
	}
	return err
}

// Unattached is how many bytes of output were let go of because what stands before them died
// with the agent, in its memory.
func (j *Journal) Unattached() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.unattached
}

// loadTail reads the segments that have no place yet.
func (j *Journal) loadTail(ctx context.Context, numbers []int64, note tailNote) error {
	t := &j.tail
	t.dropped, t.noteStale = note.Dropped, t.hasNote
	for _, g := range note.Gaps {
		key := streamKey{g.Step, g.Stream}
		t.gaps[key] = &g
		j.gaps++
	}
	for _, s := range note.Streams {
		j.streams[streamKey{s.Step, s.Stream}] = s.Bytes
	}
	for _, n := range numbers {
		path := filepath.Join(j.dir, disk.TailName(int(n)))
		if int(n) <= note.Dropped || j.state.Ended {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		s, err := j.loadTailSegment(ctx, n)
		if err != nil {
			return err
		}
		t.number = max(t.number, int(n))
		t.segments = append(t.segments, s)
	}
	return nil
}

// loadTailSegment opens a segment of the tail and cuts off a torn end.
func (j *Journal) loadTailSegment(ctx context.Context, n int64) (*segment, error) {
	s := &segment{name: disk.TailName(int(n)), number: int(n), startedAt: j.state.LastAt}
	f, err := disk.Open(filepath.Join(j.dir, s.name))
	if err != nil {
		return nil, err
	}
	if s.size, s.counts, err = countOutput(untilDone{ctx, f}); err == nil {
		err = f.Truncate(s.size)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	s.file, s.written = f, s.size
	return s, nil
}

// countOutput counts the whole records of a segment from the tail.
func countOutput(f io.ReaderAt) (size int64, counts map[streamKey]count, err error) {
	counts = map[streamKey]count{}
	r := journal.NewReaderAt(io.NewSectionReader(f, 0, math.MaxInt64), journal.HeaderSize)
	for {
		rec, err := r.Next()
		var corrupt *journal.CorruptError
		if errors.Is(err, io.EOF) || errors.Is(err, journal.ErrShort) || errors.As(err, &corrupt) {
			return size, counts, nil
		}
		if err != nil {
			return 0, nil, err
		}
		o, err := journal.DecodeOutput(rec)
		if err != nil || rec.Type != journal.TypeOutput {
			return size, counts, nil
		}
		c, key := counts[streamKey{o.Step, o.Stream}], streamKey{o.Step, o.Stream}
		counts[key] = count{c.bytes + int64(len(o.Data)), c.lines + lines(o.Data)}
		size += int64(rec.Size())
	}
}

// readNote reads the note about the tail, if there is one. Without what a damaged one said,
// nobody knows where the tail belongs: nothing of it is attached.
func readNote(dir string) (n tailNote, noted bool, err error) {
	data, err := disk.ReadSmall(filepath.Join(dir, disk.NoteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil && !errors.Is(err, disk.ErrTooLarge) {
		return n, false, fmt.Errorf("read %s: %w", disk.NoteFile, err)
	}
	if json.Unmarshal(data, &n) != nil {
		n = tailNote{After: math.MaxInt64}
	}
	return n, true, nil
}
