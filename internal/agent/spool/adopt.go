package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/journal"
)

// ErrNoBeginning says that segments of a journal were deleted because the server had them, and
// that what must be known of them is lost. What is left is kept, and nobody can deliver it.
var ErrNoBeginning = errors.New("delivered parts of the journal were deleted, and meta.json, which says what they were, is lost: the server has the beginning, and the rest is of use to people only")

// Adopt takes over a journal that no living agent owns, cuts off a torn end, and returns it
// with what it holds. What the dead agent kept of the newest output has no place yet:
// Settle gives it one, DropTail forgets it. Adopt returns ErrBusy, ErrGone, or an error of
// the disk or format.
func (s *Spool) Adopt(e Entry) (*Journal, journal.Recovered, error) {
	var none journal.Recovered
	path := filepath.Join(e.Path, journalFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none, ErrGone
	}
	if err != nil {
		return nil, none, fmt.Errorf("spool: open %s: %w", path, err)
	}
	j, err := adopt(e, file)
	if err != nil {
		_ = file.Close()
		return nil, none, err
	}
	return j, j.state, nil
}

func adopt(e Entry, file *os.File) (*Journal, error) {
	if err := lock(file); err != nil {
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
	j := newJournal(meta, Limits{Unsent: math.MaxInt64 / 4})
	j.dir, j.disk, j.lock = e.Path, directory(e.Path), file
	if err := j.load(); err != nil {
		closeAll(j.files())
		if errors.Is(err, ErrNoBeginning) { // as often as one tries
			j.meta.Refused = err.Error()
			_ = writeMeta(j.disk, j.meta) // it says so once more then
		}
		return nil, fmt.Errorf("spool: read %s: %w", e.Path, err)
	}
	j.acked = min(meta.Acknowledged, j.state.Size)
	return j, nil
}

// load reads what the directory holds.
func (j *Journal) load() error {
	note, noted, err := readNote(j.dir)
	if err != nil {
		return err
	}
	found, err := segmentsIn(j.dir)
	if err != nil {
		return err
	}
	if err := j.loadPlaced(found.placed); err != nil {
		return err
	}
	j.onDisk, j.trimmed = j.placed[0].start, j.placed[0].start
	j.tail.hasNote = noted
	j.advance()
	held := j.state.Size
	attached := slices.DeleteFunc(slices.Clone(note.Commits), func(c commitNote) bool { return c.After > held })
	done, err := j.loadCommits(attached)
	if err == nil {
		err = j.redo(false)
	}
	if err != nil {
		return err
	}
	err = j.loadTail(slices.DeleteFunc(found.tail, func(n int64) bool { return slices.Contains(done, n) }), note)
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

// parseName takes the name of a segment's file apart.
func parseName(name string) (number int64, tail, ok bool) {
	if name == journalFile {
		return 0, false, true
	}
	var err error
	if digits, found := strings.CutPrefix(name, journalFile+"."); found {
		number, err = strconv.ParseInt(digits, 16, 64)
		return number, false, err == nil && number > 0
	}
	if digits, found := strings.CutPrefix(name, "tail."); found {
		number, err = strconv.ParseInt(digits, 10, 32)
		return number, true, err == nil && number > 0
	}
	return 0, false, false
}

// files are the segments of a directory, by place and by number.
type files struct{ placed, tail []int64 }

func segmentsIn(dir string) (files, error) {
	var out files
	all, err := os.ReadDir(dir)
	if err != nil {
		return out, err
	}
	for _, f := range all {
		switch n, tail, ok := parseName(f.Name()); {
		case !ok:
		case tail:
			out.tail = append(out.tail, n)
		default:
			out.placed = append(out.placed, n)
		}
	}
	slices.Sort(out.placed)
	slices.Sort(out.tail)
	return out, nil
}

// loadPlaced reads the row of segments from its beginning to the first break.
func (j *Journal) loadPlaced(starts []int64) error {
	at := journal.Checkpoint{Open: -1}
	if j.meta.Beginning != nil {
		at = *j.meta.Beginning
	} else if info, err := j.lock.Stat(); err != nil {
		return err
	} else if info.Size() == 0 && len(starts) > 1 {
		return ErrNoBeginning
	}
	whole := true
	for _, start := range starts {
		s := &segment{start: start, name: fileName(start), inPlace: true}
		if start < at.Size && len(j.placed) == 0 || !whole || len(j.placed) > 0 && start != j.state.Size {
			// Delivered before, or behind a break: of no use.
			if err := j.discard(s); err != nil {
				return err
			}
			continue
		}
		if len(j.placed) == 0 && start > at.Size {
			whole = false
			if err := j.discard(s); err != nil {
				return err
			}
			continue
		}
		torn, err := j.loadSegment(s, at)
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
	if at.Size == 0 {
		j.addHeader()
		j.placed[0].file = osFile{j.lock}
		return nil
	}
	var err error
	j.state, err = journal.RecoverFrom(at, strings.NewReader(""))
	j.placed = []*segment{{start: at.Size, at: at}}
	return err
}

// loadSegment opens a segment and recovers what it holds. torn is true when its end was cut
// off.
func (j *Journal) loadSegment(s *segment, at journal.Checkpoint) (torn bool, err error) {
	if s.start == 0 {
		s.file = osFile{j.lock}
	} else if s.file, err = openSegment(filepath.Join(j.dir, s.name)); err != nil {
		return false, err
	}
	s.at = at
	src := io.NewSectionReader(s.file, 0, math.MaxInt64)
	var rec journal.Recovered
	if s.start == 0 {
		rec, err = journal.Recover(src)
	} else {
		rec, err = journal.RecoverFrom(at, src)
	}
	if err != nil {
		return false, err
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

// discard deletes the file of a segment; the first one's holds the lock and stays, empty.
func (j *Journal) discard(s *segment) error {
	if s.name == journalFile {
		return j.lock.Truncate(0)
	}
	return os.Remove(filepath.Join(j.dir, s.name))
}

func openSegment(path string) (file, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// loadTail reads the segments that have no place yet.
func (j *Journal) loadTail(numbers []int64, note tailNote) error {
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
		path := filepath.Join(j.dir, tailName(int(n)))
		if int(n) <= note.Dropped || j.state.Ended {
			if err := os.Remove(path); err != nil {
				return err
			}
			continue
		}
		s, err := j.loadTailSegment(n)
		if err != nil {
			return err
		}
		t.number = max(t.number, int(n))
		t.segments = append(t.segments, s)
	}
	return nil
}

// loadTailSegment opens a segment of the tail and cuts off a torn end.
func (j *Journal) loadTailSegment(n int64) (*segment, error) {
	s := &segment{name: tailName(int(n)), number: int(n), startedAt: j.state.LastAt}
	f, err := openSegment(filepath.Join(j.dir, s.name))
	if err != nil {
		return nil, err
	}
	if s.size, s.counts, err = countOutput(f); err == nil {
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
func countOutput(f file) (size int64, counts map[streamKey]count, err error) {
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
	data, err := os.ReadFile(filepath.Join(dir, noteFile))
	if errors.Is(err, fs.ErrNotExist) {
		return n, false, nil
	}
	if err != nil {
		return n, false, fmt.Errorf("read %s: %w", noteFile, err)
	}
	if json.Unmarshal(data, &n) != nil {
		n = tailNote{After: math.MaxInt64}
	}
	return n, true, nil
}
