package datadir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// CopyFile copies the first n bytes of a file durably.
func CopyFile(ctx context.Context, to, from string, n int64) (err error) {
	if err := ctx.Err(); err != nil {
		return err
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if copied, err := io.CopyN(out, in, n); err != nil {
		return fmt.Errorf("after %d of %d bytes: %w", copied, n, err)
	}
	return out.Sync()
}

// SyncTree makes a directory and the database in it durable.
func SyncTree(dir string) error {
	for _, name := range []string{filepath.Join(dir, "stint.db"), filepath.Join(dir, "segments"), dir, filepath.Dir(dir)} {
		if err := syncName(name); err != nil {
			return fmt.Errorf("sync the backup: %w", err)
		}
	}
	return nil
}

// syncName makes a file, or the names in a directory, durable.
func syncName(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
