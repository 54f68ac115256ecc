package secretkey

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/store/durable"
)

// longestFile is the maximum size of a key file.
const longestFile = 64 << 10

// header is the beginning of a new file.
const header = `# Secrets in the database of a Stint server are encrypted with the first key below; the
# others decrypt what was encrypted before. Keep a copy apart from backups of the database:
# without it, notification routes must be set again.
`

// Read reads the keys of a file. The error wraps fs.ErrNotExist if there is none. A file that other users can
// read or replace is refused, as by PostgreSQL: it must belong to this user, or to root and be readable at
// most for its group.
func Read(path string) (Keys, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, err
	}
	keys, err := parse(string(text))
	if err != nil {
		return nil, fmt.Errorf("secret key file %s cannot be used: %w; put the right file there", path, err)
	}
	return keys, nil
}

// readFile returns the text of a key file.
func readFile(path string) (_ []byte, err error) {
	// A named pipe must not block.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.ENOTDIR) { // there is a file where its directory would be
		err = errors.Join(err, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("read the secret key file: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := mayUse(f, path); err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(f, longestFile+1))
	if err != nil {
		return nil, fmt.Errorf("read secret key file %s: %w", path, err)
	}
	if len(text) > longestFile {
		return nil, fmt.Errorf("secret key file %s is larger than %d bytes: it holds something else; put the right file there", path, longestFile)
	}
	return text, nil
}

// mayUse returns an error for a file that other users may read or have created.
func mayUse(f *os.File, path string) error {
	var file, dir unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &file); err != nil {
		return fmt.Errorf("read the mode of secret key file %s: %w", path, err)
	}
	if file.Mode&unix.S_IFMT != unix.S_IFREG {
		return fmt.Errorf("secret key file %s is not a regular file", path)
	}
	if err := unix.Stat(filepath.Dir(path), &dir); err != nil {
		return fmt.Errorf("read the owner of the directory of secret key file %s: %w", path, err)
	}
	return rightsOf(path, file.Uid, uint32(file.Mode)&0o777, dir.Uid, uint32(os.Getuid()))
}

// rightsOf checks owner and mode of a file, for a process of a user. The owner of the directory could replace the
// file anyway: root may serve the data directory of another user.
func rightsOf(path string, owner, mode, dirOwner, user uint32) error {
	if owner != user && owner != 0 && owner != dirOwner {
		return fmt.Errorf("secret key file %s belongs to user %d, and the server runs as user %d: it must belong to that user or to root", path, owner, user)
	}
	allowed := uint32(0o700)
	if owner == 0 && user != 0 {
		allowed = 0o740
	}
	if mode&^allowed != 0 {
		return fmt.Errorf("secret key file %s can be used by other users (mode %04o): they may have read it; close it with: chmod 600 %s", path, mode, path)
	}
	return nil
}

// Make creates a file with a new key, unless it exists, and returns its keys and whether it created it. Of several
// processes one creates the file, and the others read it.
func Make(path string) (keys Keys, made bool, err error) {
	text, err := newText("")
	if err != nil {
		return nil, false, err
	}
	err = write(path, text, os.Link)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("make secret key file %s: %w", path, err)
	}
	made = err == nil
	keys, err = Read(path)
	return keys, made, err
}

// Add inserts a new key before those of a file, which it creates if it is missing.
func Add(path string) (Keys, error) {
	if _, err := Read(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	before, err := readFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	text, err := newText(string(before))
	if err != nil {
		return nil, err
	}
	if err := write(path, text, os.Rename); err != nil {
		return nil, fmt.Errorf("add a key to secret key file %s: %w", path, err)
	}
	return Read(path)
}

// newText returns the text of a file with a new key before the existing ones.
func newText(before string) (string, error) {
	var secret [keyBytes]byte
	if _, err := rand.Read(secret[:]); err != nil {
		return "", err
	}
	line := base64.StdEncoding.EncodeToString(secret[:]) + "\n"
	if before == "" {
		return header + line, nil
	}
	at := 0 // of the first key
	for comment := range strings.Lines(before) {
		if one := strings.TrimSpace(comment); one != "" && !strings.HasPrefix(one, "#") {
			break
		}
		at += len(comment)
	}
	return before[:at] + line + before[at:], nil
}

// write creates a durable file that only this user can read, atomically. place gives it its name: os.Link does not
// replace an existing file, os.Rename does.
func write(path, text string, place func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		// After a rename the name does not exist.
		if rerr := os.Remove(f.Name()); rerr != nil && !errors.Is(rerr, fs.ErrNotExist) {
			err = errors.Join(err, rerr)
		}
	}()
	if _, err := f.WriteString(text); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := place(f.Name(), path); err != nil {
		return err
	}
	return durable.Dir(dir)
}
