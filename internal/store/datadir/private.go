package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// othersMay are the rights of everybody but the owner.
const othersMay fs.FileMode = 0o077

// MakePrivate makes the file of a database, unless it exists, before SQLite would with a mode of
// its own. Files that SQLite makes beside a database get its mode.
func MakePrivate(path string) error {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	return nil
}

// CloseToOthers takes from everybody but the owner every right to the data directory and to what
// is in it: command lines, names and logs are for those who have a token.
func CloseToOthers(dir string, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look at the modes of files: %w", err)
	}
	paths := []string{dir}
	for _, e := range entries {
		if e.Type().IsRegular() || e.IsDir() {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	for _, path := range paths {
		if err := closeOne(path, log); err != nil {
			return err
		}
	}
	return nil
}

// closeOne changes the mode of one file or directory.
func closeOne(path string, log *slog.Logger) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it was a temporary file
	}
	if err != nil {
		return fmt.Errorf("look at the mode of %s: %w", path, err)
	}
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetgid | fs.ModeSticky)
	if mode&othersMay == 0 {
		return nil
	}
	err = os.Chmod(path, mode&^othersMay)
	if errors.Is(err, fs.ErrPermission) && info.IsDir() {
		// It belongs to somebody else, as a mounted volume may; what is in it is closed.
		log.Warn("other users may look into the data directory, and this user cannot change that; its files are closed to them",
			"path", path, "mode", mode.String())
		return nil
	}
	if err != nil {
		return fmt.Errorf("close %s to other users: %w", path, err)
	}
	log.Info("closed to other users, who had rights to it", "path", path, "mode", mode.String())
	return nil
}
