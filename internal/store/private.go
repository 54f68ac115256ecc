package store

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

// closeToOthers takes from everybody but the owner every right to the data directory and to what
// is in it: the database holds passwords of notification targets. Files that SQLite makes
// beside the database get its mode.
func closeToOthers(dir string, log *slog.Logger) error {
	file, err := os.OpenFile(filepath.Join(dir, databaseName), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
	if err := file.Close(); err != nil {
		return fmt.Errorf("open the database: %w", err)
	}
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

// logger is where the store logs.
func (o Options) logger() *slog.Logger {
	if o.Log == nil {
		return slog.Default()
	}
	return o.Log
}
