package segment

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/journal"
)

// ErrNoBeginning says that segments of a journal were deleted because the server had them, and
// that what must be known of them is lost. The rest is kept, and cannot be delivered.
var ErrNoBeginning = errors.New("delivered parts of the journal were deleted, and meta.json, which says what they were, is lost or damaged: the server has the beginning, and the rest is of use to people only")

// PlacedFile is a placed segment on the disk. Its end may be torn.
type PlacedFile struct{ Start, Size int64 }

// End returns the journal offset behind it.
func (f PlacedFile) End() int64 { return f.Start + f.Size }

// Files are the segments of a directory, by place and by number.
type Files struct {
	Placed []PlacedFile
	Tail   []int64
}

// FilesIn lists the segments of a directory.
func FilesIn(dir string) (Files, error) {
	var out Files
	all, err := os.ReadDir(dir)
	if err != nil {
		return out, err
	}
	for _, f := range all {
		n, tail, ok := disk.ParseName(f.Name())
		switch {
		case !ok:
		case tail:
			out.Tail = append(out.Tail, n)
		default:
			info, err := f.Info()
			if err != nil {
				return out, err
			}
			out.Placed = append(out.Placed, PlacedFile{n, info.Size()})
		}
	}
	slices.SortFunc(out.Placed, func(a, b PlacedFile) int { return cmp.Compare(a.Start, b.Start) })
	slices.Sort(out.Tail)
	return out, nil
}

// FirstOf decides where to begin to read the placed segments: at one of them, or (len(all)) at
// known, behind which there is none. known is what meta.json says of deleted segments, nil for
// nothing; damaged says that it says something that cannot be used.
//
// What can be read from byte 0 on is read from there, and where the files and known contradict
// each other, it is not known which segments the server has: nothing is read, and nothing deleted.
func FirstOf(all []PlacedFile, known *journal.Checkpoint, damaged bool) (first int, err error) {
	whole := all[0].Size > 0 // else the first segment was deleted
	unbroken := 1            // so many segments follow each other from byte 0 on
	for unbroken < len(all) && all[unbroken].Start == all[unbroken-1].End() {
		unbroken++
	}
	if known == nil {
		if !whole && (len(all) > 1 || damaged) || damaged && unbroken < len(all) {
			return 0, ErrNoBeginning
		}
		return 0, nil
	}
	at := slices.IndexFunc(all, func(f PlacedFile) bool { return f.Start == known.Size })
	last := all[len(all)-1]
	switch {
	case at >= 0 && (!whole || at >= unbroken):
		return at, nil
	case at < 0 && known.Size >= last.End():
		return len(all), nil
	case whole && (at >= 0 || unbroken == len(all)):
		return 0, nil
	}
	return 0, ErrNoBeginning
}

// CheckFirst returns an error if the first segment holds something, and that is no journal: it
// was damaged, and is not cut off as if an agent had died while it began.
func CheckFirst(f io.ReaderAt, size int64) error {
	data := make([]byte, min(size, journal.HeaderSize+journal.MaxRecord))
	n, err := f.ReadAt(data, 0)
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
	return fmt.Errorf("%w; it cannot be delivered: remove it when it is not needed", err)
}

// OpenTail opens a segment of the tail that a dead agent left, and cuts off a torn end.
func OpenTail(ctx context.Context, dir string, number int, startedAt time.Time) (*Segment, error) {
	s := &Segment{Name: disk.TailName(number), Number: number, StartedAt: startedAt}
	f, err := disk.Open(filepath.Join(dir, s.Name))
	if err != nil {
		return nil, err
	}
	if s.Size, s.Counts, err = CountOutput(UntilDone(ctx, f)); err == nil {
		err = f.Truncate(s.Size)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	s.File, s.Written = f, s.Size
	return s, nil
}

// UntilDone makes a file readable until a context ends.
func UntilDone(ctx context.Context, f io.ReaderAt) io.ReaderAt { return untilDone{ctx, f} }

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
