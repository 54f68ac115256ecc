// Package spool keeps journals on the agent's disk until the server has them: create,
// append, read from any offset, acknowledge, adopt what a dead agent left, remove.
//
// Each journal is a directory STATE/spool/RUN.ATTEMPT with the files "journal" (the first
// segment of the plain journal bytes), "journal.OFFSET" (those that follow, each named by its
// place in hexadecimal), "meta.json" (where it is meant to go, never a token; and what must be
// known of segments that were delivered and deleted), and, of a submitted run, "token" (which
// delivers this journal and no other). The agent that owns a journal
// holds a lock on its first file as long as it lives, so a journal whose lock is free has no
// owner and may be adopted.
//
// What outgrows the limit keeps its head and its tail: the newest output is in files
// "tail.NUMBER" until it gets its place, and "tail.json" says what was dropped before it.
// Where the disk cannot be written, a journal goes on in bounded memory. The life of a segment is
// described in package segment.
//
// # Who calls the file system
//
// A journal has one writer: the goroutine of Start, and before Start the goroutine that appends.
// Only the writer changes files. Persist, Close and Remove post a request to it and wait for the
// reply as long as the disk makes progress. A call that takes longer than a quarter of a second
// makes the disk count as stuck: records are then appended in memory, and the writer continues
// when the call returns. Readers read files themselves.
package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/spool/disk"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/internal/agent/statedir"
)

// staleAfter is the age at which what has no name as a journal is removed.
const staleAfter = time.Hour

// ErrBusy says that a living agent owns the journal.
var ErrBusy = disk.ErrBusy

// ErrGone reports that a journal was delivered and removed meanwhile.
var ErrGone = errors.New("the journal is not there any more")

// Spool is a directory of journals.
type Spool struct{ dir string }

// Open prepares the spool under an agent's state directory. One that others could change is
// refused: see statedir.
func Open(stateDir string) (*Spool, error) {
	dir, err := statedir.Open(stateDir, "spool")
	if err != nil {
		return nil, err // it names the directory, and says what to do
	}
	return &Spool{dir: dir}, nil
}

// Dir returns the directory that holds the journals.
func (s *Spool) Dir() string { return s.dir }

// Create begins an empty journal and takes its lock. Of several that begin the same attempt
// one gets it; the others get a *owner.RunningError as long as its agent lives, and then owner.ErrExists.
func (s *Spool) Create(meta Meta, limits Limits) (*Journal, error) {
	name := meta.Run + "." + strconv.Itoa(meta.Attempt)
	final := filepath.Join(s.dir, name)
	if _, err := os.Lstat(final); err == nil {
		return nil, existsError(final, meta)
	}
	dir, err := os.MkdirTemp(s.dir, disk.NewPrefix)
	if err != nil {
		return nil, fmt.Errorf("spool: make a journal in %s: %w", s.dir, err)
	}
	j, err := create(dir, final, meta, limits)
	if err != nil {
		_ = os.RemoveAll(dir)            // what matters is the error that came first
		if errors.Is(err, fs.ErrExist) { // by the rename: another process was faster
			return nil, existsError(final, meta)
		}
		return nil, fmt.Errorf("spool: make journal %s: %w", final, err)
	}
	return j, nil
}

// existsError says why the journal at path is not to be made: its agent lives, or it waits.
func existsError(path string, meta Meta) error {
	waits := fmt.Errorf("spool: %s is there already: %w", path, owner.ErrExists)
	file, err := os.Open(filepath.Join(path, disk.JournalFile))
	if err != nil {
		return waits
	}
	defer file.Close()
	if !disk.Locked(file) {
		return waits
	}
	m, _ := readMeta(path) // without it the pid is not known
	return owner.Running(meta.Run, owner.Holder{PID: m.PID, Host: m.Host}, meta.Host)
}

func create(dir, final string, meta Meta, limits Limits) (*Journal, error) {
	file, err := disk.CreateAs(filepath.Join(dir, disk.JournalFile), filepath.Join(final, disk.JournalFile))
	if err != nil {
		return nil, err
	}
	j := newJournal(meta, limits)
	j.dir, j.writer.Disk, j.lock = final, disk.Local(final), file
	j.placed.AddHeader()
	j.placed.Segments[0].File = disk.LocalFile{File: file}
	err = disk.Lock(file)
	if err == nil {
		err = writeMeta(disk.Local(dir), meta)
	}
	if err == nil {
		err = writeToken(disk.Local(dir), meta.Token)
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

// Claim takes a run for this process, on a host. It returns a *owner.RunningError when another
// process has it.
func (s *Spool) Claim(run string, host owner.Host) (*owner.Claim, error) {
	return owner.Take(s.dir, run, host)
}

// Claimed returns a *owner.RunningError when another process holds the run. host is this one.
func (s *Spool) Claimed(run string, host owner.Host) error { return owner.Check(s.dir, run, host) }

// Has reports whether the spool has a journal of an attempt.
func (s *Spool) Has(run string, attempt int) bool {
	_, err := os.Lstat(filepath.Join(s.dir, run+"."+strconv.Itoa(attempt), disk.JournalFile))
	return err == nil
}

// InUse reports whether a process has the journal of an entry: its agent, or one that delivers it.
func (s *Spool) InUse(e Entry) bool {
	file, err := os.Open(filepath.Join(e.Path, disk.JournalFile))
	if err != nil {
		return false // it was delivered and removed
	}
	defer file.Close()
	return disk.Locked(file)
}

// Entry is a journal that waits in the spool.
type Entry struct {
	Name string // of its directory
	Path string
	Size int64
	Meta Meta // zero when its file cannot be read; Err says why
	Err  error
}

// List returns the journals of the spool, the oldest run first. It takes no locks: an entry
// may be in use, or gone a moment later.
func (s *Spool) List() ([]Entry, error) {
	names, err := s.Names()
	var out []Entry
	for _, name := range names {
		if e, there := s.Entry(name); there {
			out = append(out, e)
		}
	}
	return out, err
}

// Names returns the names of the entries, the oldest run first (run ids begin with their
// time). It reads no entry: there may be many.
func (s *Spool) Names() ([]string, error) {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, fmt.Errorf("spool: list %s: %w", s.dir, err)
	}
	var names []string
	for _, d := range dirs {
		if d.IsDir() && !strings.HasPrefix(d.Name(), ".") {
			names = append(names, d.Name())
		}
	}
	return names, nil
}

// Entry returns the entry with a name, and whether it holds a journal.
func (s *Spool) Entry(name string) (e Entry, there bool) {
	e = Entry{Name: name, Path: filepath.Join(s.dir, name)}
	_, err := os.Stat(filepath.Join(e.Path, disk.JournalFile))
	if errors.Is(err, fs.ErrNotExist) {
		return e, false
	}
	if err == nil {
		err = onlyFiles(e.Path)
	}
	if err == nil {
		e.Size = sizeOf(e.Path)
		e.Meta, err = readMeta(e.Path)
	}
	e.Err = err
	return e, true
}

// onlyFiles returns an error if a journal's directory holds anything but a regular file under a
// name that the spool opens. To open a named pipe waits for its writer, which would hold up all
// other journals. What else is there, as the socket of an agent that was killed, is none of
// the spool's business until the journal is removed.
func onlyFiles(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("spool: %w", err)
	}
	for _, f := range files {
		if opens(f.Name()) && !f.Type().IsRegular() {
			return fmt.Errorf("spool: %s is not a regular file; remove it, or the journal with it", filepath.Join(dir, f.Name()))
		}
	}
	return nil
}

// opens reports whether the spool opens files of a name in a journal's directory.
func opens(name string) bool {
	_, _, segment := disk.ParseName(name)
	name = strings.TrimSuffix(name, disk.TmpSuffix)
	return segment || name == disk.MetaFile || name == disk.NoteFile || name == disk.TokenFile
}

// Sweep removes what agents left that died while they made a journal (it is empty) or removed one
// (the server has it), and claims of agents of this host that died.
func (s *Spool) Sweep(now time.Time, host owner.Host) {
	dirs, err := os.ReadDir(s.dir)
	if err != nil {
		return // nothing to sweep; List reports what is wrong
	}
	for _, d := range dirs {
		info, err := d.Info()
		if err != nil || now.Sub(info.ModTime()) <= staleAfter {
			continue
		}
		if strings.HasPrefix(d.Name(), disk.NewPrefix) {
			_ = os.RemoveAll(filepath.Join(s.dir, d.Name()))
		} else if run, ok := strings.CutPrefix(d.Name(), owner.ClaimPrefix); ok {
			owner.Sweep(s.dir, run, host)
		}
	}
}

// sizeOf returns how much the segments of a journal take.
func sizeOf(dir string) int64 {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0 // it is a figure for people
	}
	var n int64
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			if _, _, ok := disk.ParseName(f.Name()); ok {
				n += info.Size()
			}
		}
	}
	return n
}
