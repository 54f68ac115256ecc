package overlap

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/filelock"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/internal/agent/statedir"
)

const (
	// lockLimit bounds the wait for the lock of the directory, which others have for moments.
	lockLimit = 1500 * time.Millisecond
	// keptFor is after how long files are removed of which it is not known whether anything still
	// needs them: of another host or an earlier boot of this one, and skips that no run has taken.
	keptFor = 90 * 24 * time.Hour
	// mostBytes bounds what is read of a file.
	mostBytes = 64 << 10
)

// Holder is the process that has a ticket, as the file of the ticket names it.
type Holder struct {
	Job          string     `json:"job"`
	Run          string     `json:"run"`
	Number       int64      `json:"number,omitempty"` // of the run, if the server has given it one
	PID          int        `json:"pid"`
	StartedTicks uint64     `json:"started_ticks,omitempty"` // of the process, since the boot
	Asked        time.Time  `json:"asked"`                   // when it took the ticket
	Since        *time.Time `json:"since,omitempty"`         // since when it has the lock of the job; nil while it waits
	Host         owner.Host `json:"host"`
}

// directory is where the tickets are.
type directory string

// openDirectory makes the directory below a state directory.
func openDirectory(state string) (directory, error) {
	if state == "" {
		return "", errors.New("there is no state directory")
	}
	dir, err := statedir.Open(state, "overlap")
	return directory(dir), err
}

func (d directory) path(name string) string { return filepath.Join(string(d), name) }

// locked calls f while this process alone may make, count and remove tickets.
func (d directory) locked(f func() error) error {
	file, err := os.OpenFile(d.path("lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer file.Close()
	fd := int(file.Fd())
	late := time.Now().Add(lockLimit)
	for pause := time.Millisecond; ; pause = min(2*pause, 20*time.Millisecond) {
		if err = filelock.Exclusive(fd); !errors.Is(err, filelock.ErrLocked) {
			break
		}
		if time.Now().After(late) {
			return fmt.Errorf("%s stays locked by another process", file.Name())
		}
		<-time.After(pause)
	}
	if err != nil {
		return fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	defer filelock.Unlock(fd) //nolint:errcheck // the close does it too
	return f()
}

// found is the file of a ticket.
type found struct {
	name   string
	number int64
}

// ticketsOf lists the tickets of a job, the lowest number first, and removes what is not needed any
// more of other jobs.
func (d directory) ticketsOf(key string, here owner.Host, now time.Time) (list []found, err error) {
	entries, err := os.ReadDir(string(d))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		k, number, isTicket := parseTicketName(e.Name())
		switch {
		case isTicket && k == key:
			list = append(list, found{e.Name(), number})
		case isTicket:
			d.sweep(e.Name(), here, now)
		case strings.HasSuffix(e.Name(), "."+skipsEnd) && e.Name() != skipsName(key) && d.isOld(e.Name(), now):
			_ = os.Remove(d.path(e.Name())) // another time
		}
	}
	slices.SortFunc(list, func(a, b found) int { return cmp.Compare(a.number, b.number) })
	return list, nil
}

// sweep removes the ticket of another job if nothing needs it. Locks of other hosts need not reach
// this one.
func (d directory) sweep(name string, here owner.Host, now time.Time) {
	file, err := d.living(name)
	if file != nil {
		_ = file.Close() // it was read
	}
	if file != nil || err != nil {
		return
	}
	h := readHolder(d.path(name)).Host
	if h != (owner.Host{}) && (here.BootID != "" && h.BootID == here.BootID || here.RebootedSince(h)) || d.isOld(name, now) {
		_ = os.Remove(d.path(name)) // another time
	}
}

func (d directory) isOld(name string, now time.Time) bool {
	info, err := os.Lstat(d.path(name))
	return err == nil && now.Sub(info.ModTime()) > keptFor
}

// living returns the open file of a ticket whose process lives; nil if it does not.
func (d directory) living(name string) (*os.File, error) {
	file, err := os.Open(d.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // it was given back
	}
	if err != nil {
		return nil, err
	}
	alive, err := isLocked(file)
	if alive {
		return file, nil
	}
	return nil, errors.Join(err, file.Close())
}

// isLocked reports whether the process of a ticket lives. Several may ask at the same time.
func isLocked(file *os.File) (bool, error) {
	switch err := filelock.Shared(int(file.Fd())); {
	case errors.Is(err, filelock.ErrLocked):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("lock %s: %w", file.Name(), err)
	}
	return false, filelock.Unlock(int(file.Fd()))
}

// readHolder reads the holder of a ticket; zero where that cannot be read, as on a disk that was full.
func readHolder(path string) (h Holder) {
	file, err := os.Open(path)
	if err != nil {
		return Holder{}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostBytes))
	if err != nil || json.Unmarshal(text, &h) != nil {
		return Holder{}
	}
	return h
}

// writeHolder writes the holder of a ticket. A disk that is full takes the name away, not the lock.
func writeHolder(file *os.File, h Holder) {
	text, err := json.Marshal(h)
	if err != nil {
		return
	}
	if _, err := file.WriteAt(append(text, '\n'), 0); err == nil {
		_ = file.Truncate(int64(len(text) + 1)) // it never gets shorter
	}
}

// readSkips reads the skipped starts of a job; zero where there are none.
func (d directory) readSkips(key string) (s skips) {
	file, err := os.Open(d.path(skipsName(key)))
	if err != nil {
		return skips{}
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, mostBytes))
	if err != nil || json.Unmarshal(text, &s) != nil {
		return skips{}
	}
	return s
}

// writeSkips replaces the file of the skipped starts, and removes it when all are noted by a run that
// has ended.
func (d directory) writeSkips(key string, s skips) error {
	path := d.path(skipsName(key))
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	const next = "skips.new" // written by the process that has the lock of the directory
	if err := os.WriteFile(d.path(next), append(text, '\n'), 0o600); err != nil {
		return errors.Join(err, os.Remove(d.path(next)))
	}
	return os.Rename(d.path(next), path)
}

// removeSkips removes the file of the skipped starts.
func (d directory) removeSkips(key string) error {
	if err := os.Remove(d.path(skipsName(key))); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
