package recovery

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/blocks"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/segment"
)

// Backup writes a consistent copy of the data directory to a new directory, also while a server uses it. The
// objects of an archive are copied to the archive that open returns; it is called after the directory was
// created, and may be nil. A server can be started on the copy, which is marked as a copy: see CopiedAt.
func Backup(ctx context.Context, s *store.Store, dir string, open func() (blocks.Archive, error)) (err error) {
	if s.Dir() == "" {
		return errors.New("PostgreSQL has its own means of backup: use pg_dump, and copy the archive, if there is one")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("backup into %s: %w; give a directory that does not exist yet", dir, err)
	}
	release, err := datadir.Hold(s.Dir(), true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, release()) }()
	if err := s.FlushHeartbeats(ctx); err != nil {
		return fmt.Errorf("store heartbeats in the database: %w", err)
	}
	file := filepath.Join(dir, datadir.DatabaseName)
	if err := datadir.MakePrivate(file); err != nil {
		return err
	}
	if _, err := s.Writer.ExecContext(ctx, `VACUUM INTO $1`, file); err != nil {
		return fmt.Errorf("copy the database to %s: %w", file, err)
	}
	if err := db.MarkCopied(ctx, file, s.Now()); err != nil {
		return err
	}
	copied, err := db.OpenReadOnly(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, copied.Close()) }()
	if err := copySegments(ctx, s, copied, filepath.Join(dir, "segments")); err != nil {
		return err
	}
	if open != nil && s.Archive != nil {
		if err := copyObjects(ctx, s, copied, open); err != nil {
			return err
		}
	}
	return datadir.SyncTree(dir)
}

// copySegments copies the segments that the copied database refers to.
func copySegments(ctx context.Context, s *store.Store, copied *sql.DB, dir string) error {
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
		if err := datadir.CopyFile(ctx, to.Path(id), s.Segments.Path(id), end); err != nil {
			return fmt.Errorf("copy segment %d: %w", id, err)
		}
	}
	return rows.Err()
}

// copyObjects copies the objects that the copied database refers to.
func copyObjects(ctx context.Context, s *store.Store, copied *sql.DB, open func() (blocks.Archive, error)) error {
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
		if err := to.Put(ctx, name, &objectReader{ctx: ctx, from: s.Archive, name: name, bytesLeft: size}, size); err != nil {
			return fmt.Errorf("copy object %s: %w", name, err)
		}
	}
	return rows.Err()
}

// objectReader reads an object of the archive, a MiB at a time.
type objectReader struct {
	ctx       context.Context
	from      blocks.Archive
	name      string
	at        int64
	bytesLeft int64
	data      []byte
}

func (r *objectReader) Read(p []byte) (int, error) {
	if len(r.data) == 0 {
		if r.bytesLeft == 0 {
			return 0, io.EOF
		}
		n := min(r.bytesLeft, 1<<20)
		data, err := r.from.ReadRange(r.ctx, r.name, r.at, n)
		if err != nil {
			return 0, err
		}
		r.data, r.at, r.bytesLeft = data, r.at+n, r.bytesLeft-n
	}
	n := copy(p, r.data)
	r.data = r.data[n:]
	return n, nil
}
