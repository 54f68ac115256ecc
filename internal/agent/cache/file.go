package cache

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// mismatchError reports that a file of an entry is not what was published.
type mismatchError struct{ path, why string }

func (e *mismatchError) Error() string { return e.path + " " + e.why }

var buffers = sync.Pool{New: func() any { b := make([]byte, 128<<10); return &b }}

// copyFile copies one file, as a clone where the file system can, and compares or notes
// its hash. What was written is what was hashed, in either case.
func (c *copier) copyFile(ctx context.Context, n *node) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	src, err := os.OpenFile(c.from(*n), os.O_RDONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return c.sourceError(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(c.to(*n), os.O_RDWR|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	size, hash, err := c.content(ctx, dst, src)
	if err == nil {
		err = c.check(n, size, hash)
	}
	if err == nil && !c.store {
		at := time.Unix(0, n.MTime)
		// The owner first: changing it takes setuid away.
		err = errors.Join(c.setOwner(*n), dst.Chmod(fs.FileMode(n.Mode)), os.Chtimes(c.to(*n), at, at))
	}
	return errors.Join(err, dst.Close())
}

func (c *copier) check(n *node, size int64, hash []byte) error {
	switch {
	case size != n.Size && c.store:
		return fmt.Errorf("%s changed while it was copied", c.from(*n))
	case size != n.Size:
		return &mismatchError{string(n.Path), fmt.Sprintf("has %d bytes instead of %d", size, n.Size)}
	case c.store:
		n.Hash = hash
	case !bytes.Equal(hash, n.Hash):
		return &mismatchError{string(n.Path), "has other content"}
	}
	return nil
}

// content copies src to dst and returns the size and hash of what dst has now.
func (c *copier) content(ctx context.Context, dst, src *os.File) (int64, []byte, error) {
	from, to := src, io.Writer(dst)
	if !c.noClone.Load() {
		if clone(dst, src) == nil {
			from, to = dst, io.Discard
		} else {
			c.noClone.Store(true) // the file system cannot, or these are two
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	h, size := sha256.New(), int64(0)
	for {
		if err := ctx.Err(); err != nil {
			return size, nil, err
		}
		got, err := from.Read(*buf)
		if got > 0 {
			size += int64(got)
			_, _ = h.Write((*buf)[:got]) // never fails
			if _, err := to.Write((*buf)[:got]); err != nil {
				return size, nil, err
			}
		}
		if errors.Is(err, io.EOF) {
			return size, h.Sum(nil), nil
		}
		if err != nil {
			return size, nil, c.sourceError(err)
		}
	}
}

// sourceError makes an entry that cannot be read a damaged one.
func (c *copier) sourceError(err error) error {
	var path *fs.PathError
	if !c.store && errors.As(err, &path) && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EIO) || errors.Is(err, unix.ELOOP)) {
		return &mismatchError{path.Path, "cannot be read: " + path.Err.Error()}
	}
	return err
}
