// Package cache keeps what install steps made, for the next run that would make the same.
//
// An entry is a directory STATE/cache/KEY with "entry.json" (what it was made of), "files"
// (every path with its kind, mode, size and SHA-256) and "tree/N" (a copy of the N-th
// directory). It is made under a name that begins with ".new-" and published by one rename,
// so an entry that can be seen is whole, or was damaged later: each byte is compared with
// its hash when it is used, and a damaged entry is removed and never used.
//
// A directory in use is locked (flock). The kernel drops the lock of a process that ends, so
// what has no lock and no final name is left over from a crash, and an entry whose lock is
// free is not in use.
package cache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/filelock"
)

const (
	infoFile  = "entry.json"
	filesFile = "files"
	treeDir   = "tree"

	newPrefix = ".new-" // being made
	oldPrefix = ".old-" // being removed
)

// isKey reports whether a name is that of an entry.
func isKey(name string) bool {
	return len(name) == 64 && strings.Trim(name, "0123456789abcdef") == ""
}

// Cache is a directory of entries.
type Cache struct{ dir string }

// Open returns the cache below a state directory. Nothing is made on disk before the first
// entry is.
func Open(stateDir string) *Cache { return &Cache{dir: filepath.Join(stateDir, "cache")} }

// Dir returns where the entries are.
func (c *Cache) Dir() string { return c.dir }

// Info describes an entry. It is what entry.json holds.
type Info struct {
	Key       string    `json:"key"`
	Inputs    Inputs    `json:"inputs"`
	Commands  []string  `json:"commands"` // the install steps, for people
	CreatedAt time.Time `json:"created_at"`
	Files     int       `json:"files"`      // files, symbolic links and directories
	Bytes     int64     `json:"bytes"`      // of file contents
	FilesHash string    `json:"files_hash"` // SHA-256 of the list of files
}

// DamagedError reports that an entry is not what was published. It has been removed, unless
// Kept is set: why it could not be.
type DamagedError struct {
	Key  string
	Why  string
	Kept error
}

func (e *DamagedError) Error() string {
	if e.Kept != nil {
		return fmt.Sprintf("the cache entry %s is damaged (%s) and was not used; it could not be removed: %v", Short(e.Key), e.Why, e.Kept)
	}
	return fmt.Sprintf("the cache entry %s was damaged (%s); it was removed and not used", Short(e.Key), e.Why)
}

// Short returns a key as people read it.
func Short(key string) string { return key[:min(12, len(key))] }

// Find opens the entry of a key for reading; nil when there is none. A damaged one is a
// *DamagedError. The caller closes the entry.
func (c *Cache) Find(ctx context.Context, key string) (*Entry, error) {
	dir := filepath.Join(c.dir, key)
	lock, err := lockDir(ctx, dir, filelock.Shared, readerTimeout)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errGone) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	e := &Entry{cache: c, dir: dir, lock: lock}
	if e.Info, e.nodes, err = load(dir, key); err != nil {
		e.Close()
		return nil, c.removeDamaged(key, err)
	}
	return e, nil
}

// removeDamaged removes an entry that is not what was published, and returns the *DamagedError.
func (c *Cache) removeDamaged(key string, why error) error {
	_, err := c.remove(key)
	return &DamagedError{Key: key, Why: why.Error(), Kept: err}
}

// errInUse reports that a directory is in use.
var errInUse = errors.New("it is in use")

// remove removes an entry that is not in use: first its name, then what is in it.
func (c *Cache) remove(name string) (bool, error) {
	dir := filepath.Join(c.dir, name)
	lock, err := lockDir(context.Background(), dir, filelock.Exclusive, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errGone):
		return false, nil // another process was faster
	case err != nil:
		return false, err
	}
	defer lock.Close()
	if isKey(name) {
		gone, err := os.MkdirTemp(c.dir, oldPrefix)
		if err != nil {
			return false, fmt.Errorf("remove the cache entry %s: %w", Short(name), err)
		}
		if err := renameOver(dir, gone); err != nil {
			return false, errors.Join(fmt.Errorf("remove the cache entry %s: %w", Short(name), err), os.Remove(gone))
		}
		dir = gone
	}
	if err := removeAll(dir); err != nil {
		return false, fmt.Errorf("remove %s from the cache: %w", name, err)
	}
	return true, nil
}

// renameOver renames a file or directory, also over an empty directory, which os.Rename refuses.
func renameOver(from, to string) error {
	if err := unix.Rename(from, to); err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// touch notes that an entry was used now.
func (c *Cache) touch(dir string) {
	now := time.Now()
	_ = os.Chtimes(filepath.Join(dir, infoFile), now, now) // prune would only think it older
}

// removeAll is os.RemoveAll that also empties directories without write permission.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil // what remains in the way, the removal reports
	})
	return os.RemoveAll(dir)
}
