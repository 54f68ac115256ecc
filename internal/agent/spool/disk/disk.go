// Package disk is what a journal needs of the file system: its directory, the files in it and the
// locks on them. A test puts a disk in between that is slow, full or dead.
package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/freespace"
)

// File is what a segment needs of a file.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Close() error
	// Reserve allocates room up to a size ahead of writing, where the system can. It
	// returns an error that wraps ErrNoRoom when there is none.
	Reserve(size int64) error
}

// Directory is what a journal needs of its directory.
type Directory interface {
	Create(name string) (File, error)
	Rename(from, to string) error
	Remove(name string) error
	// Replace writes a small file in one step. If it is durable, it survives a loss of power
	// from then on, and nothing that is done later does without it.
	Replace(name string, data []byte, durable bool) error
	// MakeDurable does the same with a file that is there, and with the directory itself.
	MakeDurable(name string) error
	// CheckLock returns an error if the locked file is not the journal that is found here.
	CheckLock(lock *os.File) error
	// Clear removes the directory with everything in it. If it fails or is cut off, the journal
	// is there as it was, or it is gone and Sweep removes the rest.
	Clear() error
	// Free is how much an ordinary user may still write, and how large the disk is.
	Free() (free, total int64, err error)
}

// ErrNoRoom says that the disk is full, or that the rest of it is not for us.
var ErrNoRoom = errors.New("no space left on the disk")

// Local is a journal's directory on a real disk.
type Local string

func (d Local) path(name string) string { return filepath.Join(string(d), name) }

func (d Local) Create(name string) (File, error) {
	f, err := os.OpenFile(d.path(name), os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	return LocalFile{f}, nil
}

func (d Local) Rename(from, to string) error { return os.Rename(d.path(from), d.path(to)) }

func (d Local) Remove(name string) error { return os.Remove(d.path(name)) }

func (d Local) Replace(name string, data []byte, durable bool) error {
	tmp := d.path(name + TmpSuffix)
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

func (d Local) MakeDurable(name string) error {
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

func (d Local) CheckLock(lock *os.File) error {
	mine, err := lock.Stat()
	if err != nil {
		return err
	}
	there, err := os.Stat(d.path(JournalFile))
	if err != nil || !os.SameFile(mine, there) {
		return fmt.Errorf("it was removed while its agent was at work: %w", os.ErrNotExist)
	}
	return nil
}

// Clear renames the directory before it removes the files: what a process leaves that dies meanwhile
// has no name as a journal, and Sweep removes it.
func (d Local) Clear() error {
	gone := filepath.Join(filepath.Dir(string(d)), NewPrefix+filepath.Base(string(d)))
	if err := os.RemoveAll(gone); err != nil { // left by an earlier process of the same attempt
		return err
	}
	if err := os.Rename(string(d), gone); err != nil {
		return err
	}
	return os.RemoveAll(gone)
}

func (d Local) Free() (free, total int64, err error) {
	space, err := freespace.Of(string(d))
	return space.Free, space.Total, err
}

// LocalFile is a real file.
type LocalFile struct{ *os.File }

func (f LocalFile) Reserve(size int64) error {
	err := allocate(f.File, size)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return err
}

// Full reports whether an error means that there is no room.
func Full(err error) bool {
	return errors.Is(err, ErrNoRoom) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// Open opens the file of a segment.
func Open(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	return LocalFile{f}, nil
}

// CreateAs makes a file at a path. Its errors name the path to which it is going to be moved.
func CreateAs(path, later string) (*os.File, error) {
	for {
		fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		switch {
		case err == nil:
			return os.NewFile(uintptr(fd), later), nil
		case !errors.Is(err, unix.EINTR):
			return nil, &fs.PathError{Op: "open", Path: path, Err: err}
		}
	}
}

// maxSmallSize is more than a meta file or a note about the tail can be.
const maxSmallSize = 16 << 20

// ErrTooLarge says that a file is not the small one that it should be.
var ErrTooLarge = errors.New("it is larger than such a file can be")

// ReadSmall reads a file of at most maxSmallSize.
func ReadSmall(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxSmallSize+1))
	if err == nil && len(data) > maxSmallSize {
		return nil, ErrTooLarge
	}
	return data, err
}
