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
	// Replace writes a small file in one step.
	Replace(name string, data []byte) error
	// Holds reports an error when the lock's file is not the journal that others find here.
	Holds(lock *os.File) error
	// Clear removes the directory with everything in it.
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

func (d directory) Replace(name string, data []byte) error {
	tmp := d.path(name + ".tmp")
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, d.path(name))
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

// Clear removes the journal's first file before the rest: without it the directory is no
// journal for anybody.
func (d directory) Clear() error {
	return errors.Join(os.Remove(d.path(journalFile)), os.RemoveAll(string(d)))
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
