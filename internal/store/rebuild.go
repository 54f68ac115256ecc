package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// databaseName is the file of the database in a data directory; newName is one that is
// being built.
const (
	databaseName = "stint.db"
	newName      = "stint.db.new"
)

// Rebuilt sums up what Rebuild found.
type Rebuilt struct {
	Runs     int   `json:"runs"`
	Attempts int   `json:"attempts"`
	Blocks   int   `json:"blocks"`
	Bytes    int64 `json:"bytes"` // of journals, plain
	Findings int   `json:"findings"`
	// Aside is where the old database file is now; empty when there was none.
	Aside string `json:"aside,omitempty"`
}

// WholeError says that there is a database already, which Rebuild does not replace.
type WholeError struct{ Where string }

func (e *WholeError) Error() string {
	return fmt.Sprintf("%s is in order: stint server check --repair mends what differs from the journals; to build it anew all the same, move it away first", e.Where)
}

// LostDatabaseError says that a data directory has journals and no database.
type LostDatabaseError struct{ Dir string }

func (e *LostDatabaseError) Error() string {
	return fmt.Sprintf("data directory %s has journals, and its database %s is gone: put it back from a backup, or build it anew from the journals with: stint server check --rebuild", e.Dir, databaseName)
}

// Objects calls fn with the name and size of each object of an archive.
type Objects func(ctx context.Context, fn func(name string, size int64) error) error

// Rebuild makes a new database from the journals in segments and in the archive, for the
// day when the old one is gone or damaged. The old file is kept beside it. Runs, attempts
// and logs come back as the journals tell them, with number and time of creation; what
// stands in no journal does not. PostgreSQL must be empty, and has no segments: what was
// not in the archive is gone with it.
func Rebuild(ctx context.Context, o Options, objects Objects, tell func(Finding)) (sum Rebuilt, err error) {
	o.file = newName
	var free func() error
	if o.Dir != "" {
		if free, err = lockDir(o.Dir); err != nil {
			return sum, err
		}
		defer func() { err = errors.Join(err, free()) }()
		if err := mayReplace(ctx, o.Dir); err != nil {
			return sum, err
		}
		if err := removeDatabase(o.Dir, newName); err != nil {
			return sum, fmt.Errorf("remove what an earlier rebuilding left: %w", err)
		}
	}
	s, err := Open(ctx, o)
	if err != nil {
		return sum, err
	}
	err = s.mustBeEmpty(ctx)
	if err == nil && o.Dir != "" {
		err = s.keepInstallation(ctx, filepath.Join(o.Dir, databaseName))
	}
	if err == nil {
		sum, err = s.rebuild(ctx, objects, tell)
	}
	if err = errors.Join(err, s.Close()); err != nil || o.Dir == "" {
		return sum, err
	}
	if sum.Aside, err = setAside(o.Dir, time.Now()); err != nil {
		return sum, err
	}
	if err := os.Rename(filepath.Join(o.Dir, newName), filepath.Join(o.Dir, databaseName)); err != nil {
		return sum, fmt.Errorf("put the new database into its place: %w", err)
	}
	return sum, syncTree(o.Dir)
}

// mayReplace refuses to replace a database that is in order and knows of journals.
func mayReplace(ctx context.Context, dir string) (err error) {
	file := filepath.Join(dir, databaseName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := sql.Open("sqlite", sqliteName(file, reading()))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var verdict string
	if db.QueryRowContext(ctx, `PRAGMA quick_check(1)`).Scan(&verdict) != nil || verdict != "ok" {
		return ctx.Err() // damaged
	}
	var attempts int
	if db.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM attempts LIMIT 1) AS one`).Scan(&attempts) != nil || attempts == 0 {
		return ctx.Err() // of no use
	}
	return &WholeError{Where: file}
}

func (s *Store) mustBeEmpty(ctx context.Context) error {
	var attempts int
	if err := s.reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM attempts LIMIT 1) AS one`).Scan(&attempts); err != nil {
		return fmt.Errorf("look whether the database is empty: %w", err)
	}
	if attempts > 0 {
		return &WholeError{Where: "the database, which holds journals,"}
	}
	return nil
}

// besides are the names that SQLite gives to files beside a database.
var besides = []string{"", "-wal", "-shm", "-journal"}

func removeDatabase(dir, name string) error {
	var failed error
	for _, end := range besides {
		if err := os.Remove(filepath.Join(dir, name+end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// setAside renames the old database, if there is one, and returns its new name.
func setAside(dir string, now time.Time) (string, error) {
	aside := filepath.Join(dir, databaseName+".damaged-"+now.UTC().Format("20060102-150405.000"))
	moved := ""
	for _, end := range besides {
		err := os.Rename(filepath.Join(dir, databaseName+end), aside+end)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return moved, fmt.Errorf("keep the old database: %w", err)
		}
		moved = aside
	}
	return moved, nil
}

// isLost returns *LostDatabaseError for a data directory with journals and no database: a
// server that made a new one would delete them as nobody's.
func isLost(dir string) error {
	_, err := os.Stat(filepath.Join(dir, databaseName))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong with it is found when it is opened
	}
	found, err := filepath.Glob(filepath.Join(dir, "segments", "*.seg"))
	if err != nil || len(found) == 0 {
		return err
	}
	return &LostDatabaseError{Dir: dir}
}

// openNew opens the database that is being built. The caller holds the data directory.
func openNew(ctx context.Context, dir string, o Options) (*Store, error) {
	s, err := openFile(ctx, filepath.Join(dir, o.file), o.Relaxed, false)
	if err != nil {
		return nil, unusable(dir, err)
	}
	s.release, s.dir = func() error { return nil }, dir
	return s, nil
}
