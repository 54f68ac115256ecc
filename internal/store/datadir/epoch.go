package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// epochName is the file with the epoch of a data directory: the number that its database had when it was last counted.
const epochName = "epoch"

// mostEpoch is more than a server counts to in any time.
const mostEpoch = 1 << 53

// DamagedEpochError is the error of an epoch file that does not contain a number.
type DamagedEpochError struct{ Path string }

func (e *DamagedEpochError) Error() string {
	return fmt.Sprintf("%s does not contain a number", e.Path)
}

// ReadEpoch reads the epoch of a data directory. The error is fs.ErrNotExist for a directory without one, and
// *DamagedEpochError for one that cannot be read.
func ReadEpoch(dir string) (int64, error) {
	path := filepath.Join(dir, epochName)
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read the epoch of the data directory: %w", err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	if err != nil || n < 0 || n > mostEpoch {
		return 0, &DamagedEpochError{Path: path}
	}
	return n, nil
}

// WriteEpoch writes the epoch of a data directory durably. It replaces the file as a whole, so that it is never cut off.
func WriteEpoch(dir string, n int64) (err error) {
	path := filepath.Join(dir, epochName)
	defer func() {
		if err != nil {
			err = fmt.Errorf("write the epoch of the data directory: %w", errors.Join(err, ignoreMissing(os.Remove(path+".new"))))
		}
	}()
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(n, 10) + "\n")
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncName(dir)
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
