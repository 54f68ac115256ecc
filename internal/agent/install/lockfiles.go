package install

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/bounded"
)

const (
	// maxLockFiles and maxLockFileSize bound what is read of lock files, and lockFilesTimeout
	// the time for that, before the job starts.
	maxLockFiles     = 16
	maxLockFileSize  = 8 << 20
	lockFilesTimeout = time.Second
)

// LockFiles returns the files that decide what the install steps do, as far as that can be
// seen: those named for the install cache, and those whose names are words of the install
// commands. Each comes with the beginning of its SHA-256. It returns nil when a file system
// does not answer.
func LockFiles(dir string, install, named []string) map[string]string {
	if len(install) == 0 && len(named) == 0 {
		return nil
	}
	files, err := bounded.Call(lockFilesTimeout, func() (map[string]string, error) { return lockFiles(dir, install, named), nil })
	if err != nil {
		return nil
	}
	return files
}

func lockFiles(dir string, install, named []string) map[string]string {
	if len(install) == 0 && len(named) == 0 {
		return nil
	}
	words := slices.Clone(named)
	for _, command := range install {
		words = append(words, strings.FieldsFunc(command, func(r rune) bool { return strings.ContainsRune(" \t\n\"'`;&|()<>=", r) })...)
	}
	found := map[string]string{}
	for _, word := range words {
		if len(found) == maxLockFiles {
			break
		}
		if _, known := found[word]; known || word == "" || len(word) > 200 || strings.HasPrefix(word, "-") {
			continue
		}
		if sum, ok := fileSum(dir, word); ok {
			found[word] = sum
		}
	}
	return found
}

// fileSum reads only regular files of a sane size: nothing else may hold up the start.
func fileSum(dir, name string) (string, bool) {
	if !filepath.IsAbs(name) {
		name = filepath.Join(dir, name)
	}
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() || info.Size() > maxLockFileSize {
		return "", false
	}
	f, err := os.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", false
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxLockFileSize)); err != nil {
		return "", false
	}
	return hex.EncodeToString(h.Sum(nil)[:8]), true
}
