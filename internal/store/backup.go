package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/store/segment"
)

// holdName is a file whose lock keeps files of the data directory from being removed while
// a backup copies them. A backup shares it; who removes must have it alone.
const holdName = "backup.lock"

// hold takes the lock of a data directory. Only one that is shared is waited for; without it release is nil.
func hold(dir string, share bool) (release func() error, err error) {
	how := unix.LOCK_EX | unix.LOCK_NB
	if share {
		how = unix.LOCK_SH
	}
	f, err := os.OpenFile(filepath.Join(dir, holdName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock against backups: %w", err)
	}
	err = unix.Flock(int(f.Fd()), how)
	switch {
	case errors.Is(err, unix.EWOULDBLOCK):
		return nil, f.Close()
	case err != nil:
		return nil, errors.Join(fmt.Errorf("lock %s: %w", f.Name(), err), f.Close())
	}
	return f.Close, nil
}

// Backup writes a copy of the data directory into a new directory, as it stands at one
// moment, while a server may go on working in it. The objects of an archive are copied into
// what open returns; it is called once the directory is there, and may be nil. The copy is
// a data directory that a server can be started on, and marked as a copy: see CopiedAt.
func (s *Store) Backup(ctx context.Context, dir string, open func() (Archive, error)) (err error) {
	if s.Dir() == "" {
		return errors.New("PostgreSQL has its own means of backup: use pg_dump, and copy the archive, if there is one")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("backup into %s: %w; give a directory that does not exist yet", dir, err)
	}
	release, err := hold(s.Dir(), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := s.settleNow(ctx); err != nil {
		return fmt.Errorf("bring heartbeats into the database: %w", err)
	}
	file := filepath.Join(dir, databaseName)
	if err := makePrivate(file); err != nil {
		return err
	}
	if _, err := s.writer.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return fmt.Errorf("copy the database to %s: %w", file, err)
	}
	if err := markCopied(ctx, file, s.now()); err != nil {
		return err
	}
	copied, err := openReading(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if err := copySegments(ctx, s, copied, filepath.Join(dir, "segments")); err != nil {
		return err
	}
	if open != nil && s.archive != nil {
		if err := copyObjects(ctx, s, copied, open); err != nil {
			return err
		}
	}
	return syncTree(dir)
}

// copySegments copies the segments that the copied database refers to.
func copySegments(ctx context.Context, s *Store, copied *sql.DB, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("copy segments: %w", err)
	}
	to, err := segment.Open(dir, segment.Options{})
	if err != nil {
		return err
	}
	rows, err := copied.QueryContext(ctx, `SELECT segment, MAX(place + COALESCE(stored, size)) FROM blocks WHERE segment IS NOT NULL GROUP BY segment`)
	if err != nil {
		return fmt.Errorf("list segments: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var id, end int64
		if err := rows.Scan(&id, &end); err != nil {
			return fmt.Errorf("list segments: %w", err)
		}
		if err := copyFile(ctx, to.Path(id), s.segments.Path(id), end); err != nil {
			return fmt.Errorf("copy segment %d: %w", id, err)
		}
	}
	return rows.Err()
}

// copyFile copies the first n bytes of a file durably.
func copyFile(ctx context.Context, to, from string, n int64) (err error) {
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

// copyObjects copies the objects that the copied database refers to, a MiB at a time.
func copyObjects(ctx context.Context, s *Store, copied *sql.DB, open func() (Archive, error)) error {
	to, err := open()
	if err != nil {
		return err
	}
	rows, err := copied.QueryContext(ctx, `SELECT name, size FROM objects WHERE state = 'live'`)
	if err != nil {
		return fmt.Errorf("list objects: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	for rows.Next() {
		var name string
		var size int64
		if err := rows.Scan(&name, &size); err != nil {
			return fmt.Errorf("list objects: %w", err)
		}
		if err := to.Put(ctx, name, &objectReader{ctx: ctx, from: s.archive, name: name, left: size}, size); err != nil {
			return fmt.Errorf("copy object %s: %w", name, err)
		}
	}
	return rows.Err()
}

// objectReader reads an object of the archive from its beginning.
type objectReader struct {
	ctx  context.Context
	from Archive
	name string
	at   int64
	left int64
	data []byte
}

func (r *objectReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		if r.left == 0 {
			return 0, io.EOF
		}
		n := min(r.left, 1<<20)
		data, err := r.from.ReadRange(r.ctx, r.name, r.at, n)
		if err != nil {
			return 0, err
		}
		r.data, r.at, r.left = data, r.at+n, r.left-n
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}

// syncTree makes a directory and the database in it durable.
func syncTree(dir string) error {
	for _, name := range []string{filepath.Join(dir, "stint.db"), filepath.Join(dir, "segments"), dir, filepath.Dir(dir)} {
		f, err := os.Open(name)
		if err == nil {
			err = errors.Join(f.Sync(), f.Close())
		}
		if err != nil {
			return fmt.Errorf("sync the backup: %w", err)
		}
	}
	return nil
}
