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
	// defaultLimit is the size from which a new segment is begun.
	defaultLimit = 64 << 20
	suffix       = ".seg"
)

// Options are the options of a log.
type Options struct {
	// Relaxed does not sync: what was written survives the end of the process, but not a power cut.
	Relaxed bool
	// After is a number: those of new segments are higher, whatever files there are.
	After int64
	// Limit is the size from which a new segment is begun; 0 for 64 MiB.
	Limit int64
}

// Place is where bytes are stored.
type Place struct {
	Segment int64
	Offset  int64
}

// Log is a directory of segments. One batch writes at a time; reads need no lock.
type Log struct {
	dir  string
	opts Options

	mu   sync.Mutex // held by a batch
	file *os.File   // the current segment; nil before the first batch
	id   int64      // of the current or last segment
	end  int64      // where the next frame begins
	buf  []byte     // headers of frames; reused by batches
	out  []byte     // bytes of one write; reused by batches
	// direct writes to the same file past the page cache; nil if that is not possible.
	direct   *direct
	noDirect bool // it was tried and is not possible

	active struct { // read also while a batch writes
		sync.Mutex
		id int64
	}
}

// Open opens a directory of segments. It creates no file.
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

// Close closes the current segment.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.closeSegment()
}

// closeSegment closes the current segment.
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

// dropDirect makes all further writes use the page cache.
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

// Active returns the number of the current segment; 0 if there is none.
func (l *Log) Active() int64 {
	l.active.Lock()
	defer l.active.Unlock()
	return l.active.id
}

// Path returns the file of a segment.
func (l *Log) Path(id int64) string {
	return filepath.Join(l.dir, fmt.Sprintf("%08d%s", id, suffix))
}

// ensureSegment begins a new segment if there is none or the current one is full.
func (l *Log) ensureSegment() error {
	if l.file != nil && l.end < l.opts.Limit {
		return nil
	}
	if err := l.closeSegment(); err != nil {
		return err
	}
	l.setActive(l.id + 1) // before the file exists, so that Remove keeps it
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

// Read returns n bytes at a place. The error of a segment that was removed is fs.ErrNotExist.
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

// List returns the segments on disk in their order. It ignores files with other names.
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
			return nil, fmt.Errorf("read the size of segment %d: %w", id, err)
		}
		all = append(all, Info{ID: id, Size: info.Size()})
	}
	slices.SortFunc(all, func(a, b Info) int { return int(a.ID - b.ID) })
	return all, nil
}

// Remove deletes an unused segment. It does not delete the current one.
func (l *Log) Remove(id int64) error {
	if id == l.Active() {
		return nil
	}
	if err := os.Remove(l.Path(id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove segment %d: %w", id, err)
	}
	return nil
}
