package segment

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stint.dev/stint/internal/store/durable"
)

const (
	// defaultLimit is the size from which a segment grows no more.
	defaultLimit = 64 << 20
	suffix       = ".seg"
)

// Options say how a log writes.
type Options struct {
	// Relaxed leaves syncing to the kernel: what was written survives the end of the
	// process, and not a power cut.
	Relaxed bool
	// After is a number that new segments are above, whatever files there are.
	After int64
	// Limit is the size from which a segment grows no more; 0 for 64 MiB.
	Limit int64
}

// Place is where bytes stand.
type Place struct {
	Segment int64
	Offset  int64
}

// Log is a directory of segments. One batch writes at a time; reading needs no turn.
type Log struct {
	dir  string
	opts Options

	mu   sync.Mutex // held by a batch
	file *os.File   // the segment that grows; nil before the first batch
	id   int64      // of the segment that grows, or grew last
	end  int64      // where the next frame begins
	buf  []byte     // reused by batches: headers of frames
	out  []byte     // reused by batches: what is written at once
	// direct writes to the same file past the page cache; nil where that cannot be done.
	direct   *direct
	noDirect bool // it was tried

	active struct { // what others may ask while a batch writes
		sync.Mutex
		id int64
	}
}

// Open prepares a directory for writing. It makes no file.
func Open(dir string, o Options) (*Log, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("directory of segments: %w", err)
	}
	if o.Limit == 0 {
		o.Limit = defaultLimit
	}
	l := &Log{dir: dir, opts: o, id: o.After}
	all, err := l.List()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		l.id = max(l.id, s.ID)
	}
	return l, nil
}

// Close closes the segment that grows.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeSegment()
}

// finish lets go of the segment that grows.
func (l *Log) closeSegment() error {
	if l.file == nil {
		return nil
	}
	err := errors.Join(l.file.Close(), l.direct.close())
	l.file, l.direct = nil, nil
	l.setActive(0)
	if err != nil {
		return fmt.Errorf("close segment %d: %w", l.id, err)
	}
	return nil
}

// dropDirect goes on through the page cache only.
func (l *Log) dropDirect() error {
	err := l.direct.close()
	l.direct, l.noDirect = nil, true
	return err
}

func (l *Log) setActive(id int64) {
	l.active.Lock()
	l.active.id = id
	l.active.Unlock()
}

// Active is the number of the segment that grows; 0 for none.
func (l *Log) Active() int64 {
	l.active.Lock()
	defer l.active.Unlock()
	return l.active.id
}

// Path is the file of a segment.
func (l *Log) Path(id int64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%08d%s", id, suffix))
}

// ready makes sure that there is a segment to write to.
func (l *Log) ensureSegment() error {
	if l.file != nil && l.end < l.opts.Limit {
		return nil
	}
	if err := l.closeSegment(); err != nil {
		return err
	}
	l.setActive(l.id + 1) // before the file is there for anybody to see
	f, err := os.OpenFile(l.Path(l.id+1), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		l.setActive(0)
		return fmt.Errorf("begin segment %d: %w", l.id+1, err)
	}
	l.id++
	l.file, l.end = f, 0
	if !l.noDirect {
		l.direct = openDirect(l.Path(l.id))
		l.noDirect = l.direct == nil
	}
	if l.opts.Relaxed {
		return nil
	}
	if err := durable.Dir(l.dir); err != nil {
		return errors.Join(fmt.Errorf("begin segment %d: %w", l.id, err), l.closeSegment())
	}
	return nil
}

// Read returns n bytes at a place. A segment that is gone is fs.ErrNotExist.
func (l *Log) Read(p Place, n int64) ([]byte, error) {
	if n < 0 || n > MaxData || p.Offset < 0 {
		return nil, fmt.Errorf("read %d bytes at byte %d of segment %d: there is no such place", n, p.Offset, p.Segment)
	}
	f, err := os.Open(l.Path(p.Segment))
	if err != nil {
		return nil, fmt.Errorf("read segment %d: %w", p.Segment, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	data := make([]byte, n)
	if _, err := f.ReadAt(data, p.Offset); err != nil {
		return nil, fmt.Errorf("read %d bytes at byte %d of segment %d: %w", n, p.Offset, p.Segment, err)
	}
	return data, nil
}

// Info is one segment on disk.
type Info struct {
	ID   int64
	Size int64 // bytes of the file
}

// List returns the segments on disk in order. Files of other names are left alone.
func (l *Log) List() ([]Info, error) {
	entries, err := os.ReadDir(l.dir)
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var all []Info
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), suffix)
		id, err := strconv.ParseInt(name, 10, 64)
		if !ok || err != nil || id <= 0 {
			continue
		}
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("look at segment %d: %w", id, err)
		}
		all = append(all, Info{ID: id, Size: info.Size()})
	}
	slices.SortFunc(all, func(a, b Info) int { return int(a.ID - b.ID) })
	return all, nil
}

// Remove deletes a segment that nobody refers to. The one that grows stays.
func (l *Log) Remove(id int64) error {
	if id == l.Active() {
		return nil
	}
	if err := os.Remove(l.Path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove segment %d: %w", id, err)
	}
	return nil
}
