//go:build linux || darwin

// Package statedir makes the parts of an agent's state directory, and refuses one in which
// other users could put things in place of the agent's own: journals and cached installs are
// what the agent reads, runs and deletes, often as root.
package statedir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// RefusedError reports why a state directory is not used, and what to do.
type RefusedError struct {
	Path  string // the directory that is at fault
	Why   string
	Cause error // of the file system; nil if the directory is not safe
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("%s %s; set STINT_STATE to a directory that only this user can write", e.Path, e.Why)
}

func (e *RefusedError) Unwrap() error { return e.Cause }

// failed returns the error for something that the file system refused: what was tried and why it
// failed, with the path once.
func failed(tried, path string, err error) error {
	why := err
	if inner := (*fs.PathError)(nil); errors.As(err, &inner) {
		path, why = inner.Path, inner.Err
	}
	return &RefusedError{Path: path, Why: "cannot be " + tried + ": " + why.Error(), Cause: err}
}

// Open makes a part of the state directory, such as "spool", and returns its path. Errors are
// *RefusedError.
func Open(state, part string) (string, error) {
	if err := Check(state, part); err != nil {
		return "", err
	}
	dir := filepath.Join(state, part)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", failed("made", dir, err)
	}
	// Another user may have created the name first, in a directory that is theirs.
	return dir, Check(state, part)
}

// Check refuses a part of the state directory whose content another user could change. What
// does not exist is in order.
func Check(state, part string) error {
	if err := check(state, os.Stat, true); err != nil {
		return err
	}
	return check(filepath.Join(state, part), os.Lstat, false)
}

func check(path string, stat func(string) (os.FileInfo, error), parent bool) error {
	info, err := stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return failed("used", path, err)
	}
	f := facts{path: path, mode: info.Mode(), self: uint32(os.Geteuid())}
	if sys, known := info.Sys().(*syscall.Stat_t); known {
		f.uid, f.gid = sys.Uid, sys.Gid
	}
	return f.refuse(parent)
}

// facts are what decides about a directory.
type facts struct {
	path     string
	mode     fs.FileMode
	uid, gid uint32
	self     uint32 // the user of this process
}

// refuse returns why a directory is refused; nil if it is not. parent is true for the state directory
// itself: root may own it, and the sticky bit lets others write without touching what is not theirs.
func (f facts) refuse(parent bool) error {
	refused := func(why string) error { return &RefusedError{Path: f.path, Why: why} }
	const groupWrites, othersWrite = 0o020, 0o002
	switch {
	case f.mode&fs.ModeSymlink != 0:
		return refused("is a symbolic link")
	case !f.mode.IsDir():
		return refused("is not a directory")
	case f.uid != f.self && (f.uid != 0 || !parent):
		return refused(fmt.Sprintf("belongs to another user (uid %d)", f.uid))
	case parent && f.mode&fs.ModeSticky != 0:
		return nil
	case f.mode&othersWrite != 0:
		return refused("can be written by every user")
	case f.mode&groupWrites != 0 && f.gid != f.uid: // a group of the same number is the user's own
		return refused(fmt.Sprintf("can be written by a group (gid %d)", f.gid))
	}
	return nil
}
