package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// DatabaseName is the name of the database in a data directory, and RebuiltName that of one that is being rebuilt.
const (
	DatabaseName = "stint.db"
	RebuiltName  = "stint.db.new"
)

// Make creates a data directory, unless it exists, and returns its absolute path.
func Make(name string) (dir string, err error) {
	if dir, err = filepath.Abs(name); err != nil {
		return "", fmt.Errorf("data directory %s: %w", name, err)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", Unusable(dir, err)
	}
	return dir, nil
}

// Unusable returns the error of a data directory that cannot be used.
func Unusable(dir string, err error) error {
	return UnusableUntil(dir, err, "give this user the right to write there, or choose another with --data")
}

// UnusableUntil is Unusable with what to do about the error.
func UnusableUntil(dir string, err error, advice string) error {
	return fmt.Errorf("data directory %s cannot be used: %w; %s", dir, err, advice)
}

// LostDatabaseError is the error of a data directory that has journals and no database.
type LostDatabaseError struct{ Dir string }

func (e *LostDatabaseError) Error() string {
	return fmt.Sprintf("data directory %s has journals, and its database %s is gone: put it back from a backup, or build it anew from the journals with: stint server check --rebuild", e.Dir, DatabaseName)
}

// CheckLost returns *LostDatabaseError for a data directory with journals and no database, because a server with a
// new database would delete the journals.
func CheckLost(dir string) error {
	_, err := os.Stat(filepath.Join(dir, DatabaseName))
	if !errors.Is(err, fs.ErrNotExist) {
		return nil // an error is returned when it is opened
	}
	found, err := filepath.Glob(filepath.Join(dir, "segments", "*.seg"))
	if err != nil || len(found) == 0 {
		return err
	}
	return &LostDatabaseError{Dir: dir}
}
