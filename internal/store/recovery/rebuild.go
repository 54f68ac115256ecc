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

// Rebuilt is the summary of a rebuild.
type Rebuilt struct {
	Runs     int   `json:"runs"`
	Attempts int   `json:"attempts"`
	Blocks   int   `json:"blocks"`
	Bytes    int64 `json:"bytes"` // of journals, plain
	Findings int   `json:"findings"`
	// Aside is the new name of the old database file; empty if there was none.
	Aside string `json:"aside,omitempty"`
}

// WholeError is the error of an intact database, which Rebuild does not replace.
type WholeError struct{ Where string }

func (e *WholeError) Error() string {
	return fmt.Sprintf("%s is in order: stint server check --repair corrects what differs from the journals; to build it anew all the same, move it away first", e.Where)
}

// Objects calls fn with the name and size of each object of an archive.
type Objects func(ctx context.Context, fn func(name string, size int64) error) error

// Rebuild creates a new database from the journals in segments and in the archive, if the old one is lost or
// damaged. The old file is kept. Runs, attempts and logs are restored as the journals describe them, with
// their numbers and times of creation; what is in no journal is lost. A PostgreSQL database must be empty, and
// is restored from the archive only.
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
			return sum, fmt.Errorf("remove the files of an earlier rebuild: %w", err)
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
	if err == nil && o.Dir != "" {
		err = s.KeepDeletedRuns(ctx, filepath.Join(o.Dir, datadir.DatabaseName))
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
		return sum, fmt.Errorf("rename the new database: %w", err)
	}
	return sum, datadir.SyncTree(o.Dir)
}

// checkReplaceable returns *WholeError for a database that is intact and has journals.
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
		return ctx.Err() // it has no journals
	}
	return &WholeError{Where: file}
}

// checkFillable returns an error for a database that servers of another version may use, whose schema must
// not change, or that has journals.
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
		return fmt.Errorf("check whether the database is empty: %w", err)
	}
	if attempts > 0 {
		return &WholeError{Where: "the database, which holds journals,"}
	}
	return nil
}

// databaseSuffixes are the suffixes of the files of an SQLite database.
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
