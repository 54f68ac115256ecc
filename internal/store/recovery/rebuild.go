package recovery

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/datadir"
	"stint.dev/stint/internal/store/db"
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
	return fmt.Sprintf("%s is in order: stint server check --repair corrects what differs from the journals; to build it anew all the same, move it away first", e.Where)
}

// Objects calls fn with the name and size of each object of an archive.
type Objects func(ctx context.Context, fn func(name string, size int64) error) error

// Rebuild makes a new database from the journals in segments and in the archive, for the
// day when the old one is gone or damaged. The old file is kept beside it. Runs, attempts
// and logs come back as the journals describe them, with number and time of creation; what
// stands in no journal does not. PostgreSQL must be empty, and has no segments: what was
// not in the archive is gone with it.
func Rebuild(ctx context.Context, o store.Options, objects Objects, report func(Finding)) (sum Rebuilt, err error) {
	var free func() error
	if o.Dir != "" {
		if free, err = datadir.Lock(o.Dir); err != nil {
			return sum, err
		}
		defer func() { err = errors.Join(err, free()) }()
		if err := checkReplaceable(ctx, o.Dir); err != nil {
			return sum, err
		}
		if err := removeDatabase(o.Dir, datadir.RebuiltName); err != nil {
			return sum, fmt.Errorf("remove what an earlier rebuilding left: %w", err)
		}
	}
	if o.URL != "" {
		if err := checkFillable(ctx, o); err != nil {
			return sum, err
		}
	}
	s, err := store.OpenNew(ctx, o, datadir.RebuiltName)
	if err != nil {
		return sum, err
	}
	err = checkEmpty(ctx, s)
	if err == nil && o.Dir != "" {
		err = s.KeepInstallation(ctx, filepath.Join(o.Dir, datadir.DatabaseName))
	}
	if err == nil {
		sum, err = rebuildAll(ctx, s, objects, report)
	}
	now := s.Now()
	if err = errors.Join(err, s.Close()); err != nil || o.Dir == "" {
		return sum, err
	}
	if sum.Aside, err = renameOld(o.Dir, now); err != nil {
		return sum, err
	}
	if err := os.Rename(filepath.Join(o.Dir, datadir.RebuiltName), filepath.Join(o.Dir, datadir.DatabaseName)); err != nil {
		return sum, fmt.Errorf("put the new database into its place: %w", err)
	}
	return sum, datadir.SyncTree(o.Dir)
}

// checkReplaceable refuses to replace a database that is in order and knows of journals.
func checkReplaceable(ctx context.Context, dir string) (err error) {
	file := filepath.Join(dir, datadir.DatabaseName)
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	db, err := db.OpenReadOnly(file)
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

// checkFillable refuses a database that servers of another version may use, whose schema stays as it is, or
// that holds journals.
func checkFillable(ctx context.Context, o store.Options) error {
	o.Beside = true
	s, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	return errors.Join(checkEmpty(ctx, s), s.Close())
}

func checkEmpty(ctx context.Context, s *store.Store) error {
	var attempts int
	if err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM attempts LIMIT 1) AS one`).Scan(&attempts); err != nil {
		return fmt.Errorf("look whether the database is empty: %w", err)
	}
	if attempts > 0 {
		return &WholeError{Where: "the database, which holds journals,"}
	}
	return nil
}

// databaseSuffixes are the names that SQLite gives to files beside a database.
var databaseSuffixes = []string{"", "-wal", "-shm", "-journal"}

func removeDatabase(dir, name string) error {
	var failed error
	for _, end := range databaseSuffixes {
		if err := os.Remove(filepath.Join(dir, name+end)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// renameOld renames the old database, if there is one, and returns its new name.
func renameOld(dir string, now time.Time) (string, error) {
	aside := filepath.Join(dir, datadir.DatabaseName+".damaged-"+now.UTC().Format("20060102-150405.000"))
	moved := ""
	for _, end := range databaseSuffixes {
		err := os.Rename(filepath.Join(dir, datadir.DatabaseName+end), aside+end)
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
