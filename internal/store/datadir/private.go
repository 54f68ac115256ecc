package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
)

// othersMay are the permissions of all users but the owner.
const othersMay fs.FileMode = 0o077

// MakePrivate creates the file of a database, unless it exists, with a mode that excludes other users. SQLite gives
// the other files of the database the same mode.
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

// CloseToOthers removes all permissions of other users from the data directory and its files: command lines, names
// and logs are only for users with a token.
func CloseToOthers(dir string, log *slog.Logger) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read the modes of files: %w", err)
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
		return fmt.Errorf("read the mode of %s: %w", path, err)
	}
	mode := info.Mode() & (fs.ModePerm | fs.ModeSetgid | fs.ModeSticky)
	if mode&othersMay == 0 {
		return nil
	}
	err = os.Chmod(path, mode&^othersMay)
	if errors.Is(err, fs.ErrPermission) && info.IsDir() {
		// It may belong to another user, as a mounted volume does; its files are closed.
		log.Warn("other users may list the data directory, and this user cannot change that; its files are closed to them",
			"path", path, "mode", mode.String())
		return nil
	}
	if err != nil {
		return fmt.Errorf("close %s to other users: %w", path, err)
	}
	log.Info("closed to other users, who had rights to it", "path", path, "mode", mode.String())
	return nil
}
