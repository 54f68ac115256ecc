// Package spool keeps journals on the agent's disk until the server has them: create,
// append, read from any offset, acknowledge, adopt what a dead agent left, remove.
//
// Each journal is a directory STATE/spool/RUN.ATTEMPT with the files "journal" (the plain
// journal bytes) and "meta.json" (where it is meant to go; never a token). The agent that
// owns a journal holds a lock on its file as long as it lives, so a journal whose lock is
// free belongs to nobody and may be adopted.
//
// Where the disk cannot be written, a journal goes on in bounded memory.
package spool

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/journal"
)

const (
	journalFile = "journal"
	metaFile    = "meta.json"
	// newPrefix marks a journal that is being made; it is renamed into place when its
	// lock is held, so that nobody can adopt it before.
	newPrefix = ".new-"
	// staleAfter is the age at which a journal that never got its name is removed.
	staleAfter = time.Hour
)

// ErrBusy says that a living agent owns the journal.
var ErrBusy = errors.New("another agent owns this journal")

// ErrExists says that the spool holds a journal of this attempt already.
var ErrExists = errors.New("the same attempt of the same run was started before")

// ErrGone says that a journal was delivered and removed while it was looked at.
var ErrGone = errors.New("the journal is not there any more")

// Meta says whose journal this is and where it is meant to go.
type Meta struct {
	Run       string    `json:"run"`
	Attempt   int       `json:"attempt"`
	Job       string    `json:"job"`
	Server    string    `json:"server,omitempty"` // URL without credentials
	CreatedAt time.Time `json:"created_at"`
	// Acknowledged is how far the server was when the journal was closed; it may be
	// further. Asking it is the rule, this the first guess.
	Acknowledged int64 `json:"acknowledged,omitempty"`
	// Refused is why the server will never take this journal; empty while it may.
	Refused string `json:"refused,omitempty"`
}

// Spool is a directory of journals.
type Spool struct{ dir string }

// Open prepares the spool under an agent's state directory.
func Open(stateDir string) (*Spool, error) {
	dir := filepath.Join(stateDir, "spool")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("spool: make %s: %w", dir, err)
	}
	return &Spool{dir: dir}, nil
}

// Dir is the directory that holds the journals.
func (s *Spool) Dir() string { return s.dir }

// Create begins an empty journal and takes its lock.
func (s *Spool) Create(meta Meta, limits Limits) (*Journal, error) {
	name := meta.Run + "." + strconv.Itoa(meta.Attempt)
	final := filepath.Join(s.dir, name)
	if _, err := os.Lstat(final); err == nil {
		return nil, fmt.Errorf("spool: %s is there already: %w", final, ErrExists)
	}
	dir, err := os.MkdirTemp(s.dir, newPrefix)
	if err != nil {
		return nil, fmt.Errorf("spool: make a journal in %s: %w", s.dir, err)
	}
	j, err := create(dir, final, meta, limits)
	if err != nil {
		_ = os.RemoveAll(dir) // what matters is the error that came first
		return nil, fmt.Errorf("spool: make journal %s: %w", final, err)
	}
	return j, nil
}

func create(dir, final string, meta Meta, limits Limits) (*Journal, error) {
	file, err := os.OpenFile(filepath.Join(dir, journalFile), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{dir: final, file: file, meta: meta, limits: limits.withDefaults()}
	err = lock(file)
	if err == nil {
		err = writeMeta(dir, meta)
	}
	if err == nil {
		err = os.Rename(dir, final)
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return j, nil
}

// Entry is a journal that waits in the spool.
type Entry struct {
	Name string // of its directory
	Path string
	Size int64
	Meta Meta // zero when its file cannot be read; Err says why
	Err  error
}

// List returns the journals of the spool, the oldest run first (run ids begin with their
// time). It takes no locks: an entry may be in use, or gone a moment later.
func (s *Spool) List() ([]Entry, error) {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: list %s: %w", s.dir, err)
	}
	var out []Entry
	for _, d := range dirs {
		if !d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			continue
		}
		e := Entry{Name: d.Name(), Path: filepath.Join(s.dir, d.Name())}
		info, err := os.Stat(filepath.Join(e.Path, journalFile))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			e.Size = info.Size()
			e.Meta, err = readMeta(e.Path)
		}
		e.Err = err
		out = append(out, e)
	}
	return out, nil
}

// Sweep removes journals that never got their name because their agent died while it made
// them. They are empty.
func (s *Spool) Sweep(now time.Time) {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return // nothing to sweep; List reports what is wrong
	}
	for _, d := range dirs {
		info, err := d.Info()
		if err == nil && strings.HasPrefix(d.Name(), newPrefix) && now.Sub(info.ModTime()) > staleAfter {
			_ = os.RemoveAll(filepath.Join(s.dir, d.Name()))
		}
	}
}

// Adopt takes over a journal that no living agent owns, cuts off a torn tail, and returns
// it with what it holds. It returns ErrBusy, ErrGone, or an error of the disk or format.
func (s *Spool) Adopt(e Entry) (*Journal, journal.Recovered, error) {
	var none journal.Recovered
	path := filepath.Join(e.Path, journalFile)
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, none, ErrGone
	}
	if err != nil {
		return nil, none, fmt.Errorf("spool: open %s: %w", path, err)
	}
	j, rec, err := adopt(e, file)
	if err != nil {
		_ = file.Close()
		return nil, none, err
	}
	return j, rec, nil
}

func adopt(e Entry, file *os.File) (*Journal, journal.Recovered, error) {
	var rec journal.Recovered
	if err := lock(file); err != nil {
		return nil, rec, err
	}
	// The owner may have delivered and removed it between the open and the lock.
	mine, err := file.Stat()
	if err != nil {
		return nil, rec, fmt.Errorf("spool: %s: %w", file.Name(), err)
	}
	there, err := os.Stat(file.Name())
	if err != nil || !os.SameFile(mine, there) {
		return nil, rec, ErrGone
	}
	rec, err = journal.Recover(io.NewSectionReader(file, 0, mine.Size()))
	if err != nil {
		return nil, rec, fmt.Errorf("spool: read %s: %w", file.Name(), err)
	}
	if rec.Torn > 0 {
		if err := file.Truncate(rec.Size); err != nil {
			return nil, rec, fmt.Errorf("spool: cut the torn end of %s: %w", file.Name(), err)
		}
	}
	j := &Journal{dir: e.Path, file: file, meta: e.Meta, limits: Limits{}.withDefaults(), disk: rec.Size}
	j.acked = min(e.Meta.Acknowledged, rec.Size)
	return j, rec, nil
}

func readMeta(dir string) (Meta, error) {
	var m Meta
	path := filepath.Join(dir, metaFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return m, fmt.Errorf("spool: read %s: %w", path, err)
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return m, fmt.Errorf("spool: read %s: %w", path, err)
	}
	return m, nil
}

// writeMeta replaces the meta file in one step.
func writeMeta(dir string, m Meta) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, metaFile+".tmp")
	if err := os.WriteFile(tmp, append(data, '\n'), 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, filepath.Join(dir, metaFile))
}
