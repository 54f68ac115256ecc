package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/freespace"
)

// file is what a segment needs of a file.
type file interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Close() error
	// Reserve allocates room up to a size ahead of writing, where the system can. It
	// returns an error that wraps errNoRoom when there is none.
	Reserve(size int64) error
}

// disk is what a journal needs of its directory. A test puts one in between.
type disk interface {
	Create(name string) (file, error)
	Rename(from, to string) error
	Remove(name string) error
	// Replace writes a small file in one step. If it is durable, it survives a loss of power
	// from then on, and nothing that is done later does without it.
	Replace(name string, data []byte, durable bool) error
	// MakeDurable does the same with a file that is there, and with the directory itself.
	MakeDurable(name string) error
	// Holds reports an error when the lock's file is not the journal that others find here.
	Holds(lock *os.File) error
	// Clear removes the directory with everything in it. If it fails or is cut off, the journal
	// is there as it was, or it is gone and Sweep removes what is left.
	Clear() error
	// Free is how much an ordinary user may still write, and how large the disk is.
	Free() (free, total int64, err error)
}

// errNoRoom says that the disk is full, or that the rest of it is not for us.
var errNoRoom = errors.New("no space left on the disk")

// directory is a journal's directory on a real disk.
type directory string

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

func (d directory) Create(name string) (file, error) {
	f, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (d directory) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d directory) Remove(name string) error { return os.Remove(d.path(name)) }

// tmpSuffix ends the name of a small file while it is written.
const tmpSuffix = ".tmp"

func (d directory) Replace(name string, data []byte, durable bool) error {
	tmp := d.path(name + tmpSuffix)
	f, err := os.OpenFile(tmp, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(tmp, d.path(name)); err != nil || !durable {
		return err
	}
	return syncPath(string(d))
}

func (d directory) MakeDurable(name string) error {
	return errors.Join(syncPath(d.path(name)), syncPath(string(d)), syncPath(filepath.Dir(string(d))))
}

// syncPath waits until the disk has a file, or the names in a directory.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	err = f.Sync()
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) { // a file system that does not sync directories
		err = nil
	}
	return errors.Join(err, f.Close())
}

func (d directory) Holds(lock *os.File) error {
	mine, err := lock.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(d.path(journalFile))
	if err != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("it was removed while its agent was at work: %w", os.ErrNotExist)
	}
	return nil
}

// Clear renames the directory before it removes the files: what a process leaves that dies meanwhile
// has no name as a journal, and Sweep removes it.
func (d directory) Clear() error {
	gone := filepath.Join(filepath.Dir(string(d)), newPrefix+filepath.Base(string(d)))
	if err := os.RemoveAll(gone); err != nil { // left by an earlier process of the same attempt
		return err
	}
	if err := os.Rename(string(d), gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

func (d directory) Free() (free, total int64, err error) {
	space, err := freespace.Of(string(d))
	return space.Free, space.Total, err
}

// osFile is a real file.
type osFile struct{ *os.File }

func (f osFile) Reserve(size int64) error {
	err := allocate(f.File, size)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", errNoRoom, err)
	}
	return err
}

// full reports whether an error means that there is no room.
func full(err error) bool {
	return errors.Is(err, errNoRoom) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}
