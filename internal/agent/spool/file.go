package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"stint.dev/stint/journal"
)

// Limits bound what a journal may take. Zero fields take the defaults.
type Limits struct {
	// Memory bounds the output held in memory when the disk cannot be written (32 MiB).
	Memory int64
	// Reserve is memory beyond it that only records other than output may use, so that
	// the outcome can always be written (1 MiB).
	Reserve int64
	// Disk bounds the journal on disk; 0 for no bound. Records other than output may
	// pass it.
	Disk int64
}

func (l Limits) withDefaults() Limits {
	if l.Memory <= 0 {
		l.Memory = 32 << 20
	}
	if l.Reserve <= 0 {
		l.Reserve = 1 << 20
	}
	return l
}

// outcomeReserve is the end of the reserve, which only the outcome may use.
const outcomeReserve = 64 << 10

// ErrFull refuses a record for which there is no room: the caller counts what it drops
// and declares the gap.
var ErrFull = errors.New("the journal has no room")

// ErrTrimmed says that bytes were given back because both readers had them.
var ErrTrimmed = errors.New("these bytes of the journal are not held any more")

// Journal is one journal: a file, and memory for what the file cannot take. One goroutine
// appends; any may read.
type Journal struct {
	dir    string
	file   *os.File // nil when there never was one
	limits Limits

	mu      sync.Mutex
	meta    Meta
	disk    int64 // bytes that stand in the file
	mem     memory
	size    int64 // when in memory: all bytes
	acked   int64
	passed  int64 // what the second reader has, when there is one
	second  bool
	diskErr error // why it is in memory
}

// InMemory makes a journal without a file. why is what kept it from the disk.
func InMemory(meta Meta, limits Limits, why error) *Journal {
	return &Journal{meta: meta, limits: limits.withDefaults(), diskErr: why}
}

// Path is the journal's directory; empty when it is in memory only.
func (j *Journal) Path() string { return j.dir }

// Meta is what the journal is called and where it goes.
func (j *Journal) Meta() Meta {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.meta
}

// Size is the length of the journal.
func (j *Journal) Size() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.length()
}

func (j *Journal) length() int64 {
	if j.diskErr != nil {
		return j.size
	}
	return j.disk
}

// Acknowledged is how much of the journal the server has.
func (j *Journal) Acknowledged() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.acked
}

// Unsent is how much the server does not have yet.
func (j *Journal) Unsent() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.length() - j.acked
}

// DiskError is why the journal goes on in memory; nil while it does not.
func (j *Journal) DiskError() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.diskErr
}

// Write appends the header or one whole encoded record, or nothing: it returns ErrFull
// when there is no room. Errors of the disk are not returned: the journal goes on in
// memory.
func (j *Journal) Write(rec []byte) (int, error) {
	j.mu.Lock()
	onDisk, at := j.diskErr == nil, j.disk
	j.mu.Unlock()
	kind := recordType(rec)
	if onDisk {
		if kind == journal.TypeOutput && j.limits.Disk > 0 && at+int64(len(rec)) > j.limits.Disk {
			return 0, ErrFull
		}
		_, err := j.file.WriteAt(rec, at)
		j.mu.Lock()
		defer j.mu.Unlock()
		if err == nil {
			j.disk += int64(len(rec))
			return len(rec), nil
		}
		j.diskErr, j.size = err, j.disk
		_ = j.file.Truncate(at) // if it stays, recovery sees a torn end
	} else {
		j.mu.Lock()
		defer j.mu.Unlock()
	}
	if j.mem.held+int64(len(rec)) > j.limits.room(kind) {
		return 0, ErrFull
	}
	j.mem.append(rec, j.size)
	j.size += int64(len(rec))
	return len(rec), nil
}

// room is how much memory may be held after a record of a type.
func (l Limits) room(t journal.Type) int64 {
	switch t {
	case journal.TypeOutput:
		return l.Memory
	case journal.TypeOutcome, journal.TypeStepEnded:
		return l.Memory + l.Reserve
	}
	return l.Memory + l.Reserve - outcomeReserve
}

// recordType is the type of an encoded record; 0 for the header.
func recordType(rec []byte) journal.Type {
	if len(rec) < journal.FrameSize {
		return 0
	}
	return journal.Type(rec[8])
}

// ReadAt reads from an offset. Like any io.ReaderAt it returns io.EOF with what there is
// when the journal ends first.
func (j *Journal) ReadAt(p []byte, offset int64) (int, error) {
	j.mu.Lock()
	disk := j.disk
	if offset >= disk {
		defer j.mu.Unlock()
		return j.readMemory(p, offset)
	}
	j.mu.Unlock()
	n := int(min(int64(len(p)), disk-offset))
	if n, err := j.file.ReadAt(p[:n], offset); err != nil {
		return n, fmt.Errorf("spool: read %s at %d: %w", j.dir, offset, err)
	}
	if n == len(p) {
		return n, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	m, err := j.readMemory(p[n:], disk)
	return n + m, err
}

func (j *Journal) readMemory(p []byte, offset int64) (int, error) {
	if start, ok := j.mem.start(); ok && offset < start {
		return 0, fmt.Errorf("%w: from %d to %d", ErrTrimmed, offset, start)
	}
	n := j.mem.readAt(p, offset)
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Acknowledge notes how far the server is. It may fall, after a server has lost its end.
func (j *Journal) Acknowledge(size int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.acked = size
	j.trim()
}

// ExpectSecondReader keeps bytes in memory until Passed has been told of them too.
func (j *Journal) ExpectSecondReader() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.second = true
}

// Passed notes how far the second reader is.
func (j *Journal) Passed(offset int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.passed = offset
	j.trim()
}

func (j *Journal) trim() {
	if j.diskErr == nil {
		return
	}
	both := j.acked
	if j.second {
		both = min(both, j.passed)
	}
	j.mem.trim(both)
}

// Refuse notes in the spool that the server will never take this journal, so that nobody
// tries for ever.
func (j *Journal) Refuse(why string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.meta.Refused = why
}

// Persist tries once more to bring to disk what had to be held in memory. It returns the
// reason when the journal on disk is not whole.
func (j *Journal) Persist() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.diskErr == nil {
		return nil
	}
	if j.file == nil {
		return j.diskErr
	}
	if start, ok := j.mem.start(); ok && start > j.disk {
		return fmt.Errorf("spool: %s: %w", j.dir, ErrTrimmed)
	}
	for _, c := range j.mem.chunks {
		if _, err := j.file.WriteAt(c.data, c.start); err != nil {
			_ = j.file.Truncate(j.disk)
			return fmt.Errorf("spool: write %s: %w", j.dir, err)
		}
	}
	j.disk, j.diskErr, j.mem = j.size, nil, memory{}
	return nil
}

// Close gives up the lock and keeps the journal for whoever delivers it next. The error
// is for the note on how far the server is; the journal itself stands.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	var err error
	if j.meta.Acknowledged != j.acked || j.meta.Refused != "" {
		j.meta.Acknowledged = j.acked
		err = writeMeta(j.dir, j.meta)
	}
	return errors.Join(err, j.file.Close())
}

// Remove deletes the journal: it was delivered.
func (j *Journal) Remove() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil
	}
	// The journal file goes first: without it the directory is no journal for anybody.
	err := os.Remove(filepath.Join(j.dir, journalFile))
	err = errors.Join(err, os.RemoveAll(j.dir), j.file.Close())
	if err != nil {
		return fmt.Errorf("spool: remove %s: %w", j.dir, err)
	}
	return nil
}

// Roomy reports whether there is room for a good deal of output: a full journal counts as
// full until that is so.
func (j *Journal) Roomy() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.diskErr == nil {
		return j.limits.Disk <= 0 || j.disk < j.limits.Disk-j.limits.Disk/8
	}
	return j.mem.held <= j.limits.Memory-j.limits.Memory/8
}
