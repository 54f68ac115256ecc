package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Object is one object in a listing.
type Object struct {
	Key  string
	Size int64 // bytes
}

// Dir keeps objects as files below a directory, which several servers may share.
type Dir struct{ path string }

// partial begins the names of files that are being written.
const partial = ".partial-"

// OpenDir uses a directory, which is made if it is missing.
func OpenDir(dir string) (*Dir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("archive %s: %w", dir, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("archive %s cannot be used: %w; give this user the right to write there", abs, err)
	}
	return &Dir{abs}, nil
}

// CheckKey refuses a key that is not made of plain path elements.
func CheckKey(key string) error {
	if key == "" || len(key) > 512 || path.Clean("/"+key) != "/"+key || strings.ContainsAny(key, "\\\x00") {
		return fmt.Errorf("archive: %q cannot be the key of an object", key)
	}
	for part := range strings.SplitSeq(key, "/") {
		if strings.HasPrefix(part, ".") {
			return fmt.Errorf("archive: %q cannot be the key of an object: a part of it begins with a dot", key)
		}
	}
	return nil
}

func (d *Dir) file(key string) (string, error) {
	if err := CheckKey(key); err != nil {
		return "", err
	}
	return filepath.Join(d.path, filepath.FromSlash(key)), nil
}

// Put stores an object of size bytes; one of the same key is replaced. It is durable when
// Put returns, and nothing of it is there after an error.
func (d *Dir) Put(ctx context.Context, key string, r io.Reader, size int64) error {
	name, err := d.file(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.put(name, r, size); err != nil {
		return fmt.Errorf("archive %s: store %s: %w", d.path, key, err)
	}
	return nil
}

func (d *Dir) put(name string, r io.Reader, size int64) (err error) {
	if err := d.makeDirs(filepath.Dir(name)); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), partial+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	n, err := io.Copy(f, io.LimitReader(r, size+1))
	switch {
	case err != nil:
	case n != size:
		err = fmt.Errorf("it has %d bytes or more, not %d", n, size)
	default:
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// makeDirs makes a directory and its parents durably.
func (d *Dir) makeDirs(dir string) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for dir != d.path && len(dir) > len(d.path) {
		dir = filepath.Dir(dir)
		if err := syncDir(dir); err != nil {
			return err
		}
	}
	return nil
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// ReadRange returns n bytes of an object from an offset on. An object that is not there
// is fs.ErrNotExist; fewer bytes than n are io.ErrUnexpectedEOF.
func (d *Dir) ReadRange(ctx context.Context, key string, off, n int64) ([]byte, error) {
	name, err := d.file(key)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("archive: read %s: %w", key, err)
	}
	defer f.Close() //nolint:errcheck // it was only read
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("archive: read %s: %w", key, err)
	}
	if off < 0 || n < 0 || off > info.Size()-n {
		return nil, fmt.Errorf("archive: read %d bytes at byte %d of %s, which has %d: %w", n, off, key, info.Size(), io.ErrUnexpectedEOF)
	}
	data := make([]byte, n)
	if _, err := f.ReadAt(data, off); err != nil {
		return nil, fmt.Errorf("archive: read %s: %w", key, err)
	}
	return data, nil
}

// Delete removes an object. One that is not there is no error.
func (d *Dir) Delete(ctx context.Context, key string) error {
	name, err := d.file(key)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("archive: delete %s: %w", key, err)
	}
	for dir := filepath.Dir(name); len(dir) > len(d.path); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break // other objects are in it
		}
	}
	return nil
}

// List yields the objects whose keys begin with a prefix, in the order of keys.
func (d *Dir) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		err := filepath.WalkDir(d.path, func(name string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) {
				return nil // removed meanwhile
			}
			if err == nil {
				err = ctx.Err()
			}
			if err != nil || e.IsDir() || strings.HasPrefix(e.Name(), ".") {
				return err
			}
			key := filepath.ToSlash(strings.TrimPrefix(name, d.path+string(filepath.Separator)))
			if !strings.HasPrefix(key, prefix) {
				return nil
			}
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			if err == nil && !yield(Object{Key: key, Size: info.Size()}, nil) {
				return fs.SkipAll
			}
			return err
		})
		if err != nil {
			yield(Object{}, fmt.Errorf("archive: list %s: %w", prefix, err))
		}
	}
}
