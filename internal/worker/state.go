package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/agent/filelock"
	"stint.dev/stint/internal/agent/statedir"
)

// state is the part of the state directory that belongs to one worker at a time:
// STATE/worker, with the file "lock", which the worker holds, "id", which outlives it, and
// "agents", a file for each agent that it has started.
type state struct {
	dir  string
	id   string
	lock *os.File
}

// InUseError reports that another worker uses the state directory.
type InUseError struct {
	Dir string
	PID string // as the other one wrote it; may be empty
}

func (e *InUseError) Error() string {
	pid := ""
	if e.PID != "" {
		pid = " (pid " + e.PID + ")"
	}
	return fmt.Sprintf("another worker%s uses %s; set STINT_STATE to a directory of its own for each worker", pid, e.Dir)
}

// openState locks the worker's part of a state directory, and makes it first.
func openState(stateDir string) (*state, error) {
	dir, err := statedir.Open(stateDir, "worker")
	if err != nil {
		return nil, err
	}
	s := &state{dir: dir}
	if s.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, fmt.Errorf("lock the worker's state: %w", err)
	}
	if err := filelock.Exclusive(int(s.lock.Fd())); err != nil {
		pid, _ := os.ReadFile(s.lock.Name()) // it is for people
		_ = s.lock.Close()
		if errors.Is(err, filelock.ErrLocked) {
			return nil, &InUseError{dir, strings.TrimSpace(string(pid))}
		}
		return nil, fmt.Errorf("lock %s: %w", s.lock.Name(), err)
	}
	err = s.lock.Truncate(0)
	if err == nil {
		_, err = s.lock.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err == nil {
		err = os.MkdirAll(s.agents(), 0o700)
	}
	if err == nil {
		s.id, err = s.readID()
	}
	if err != nil {
		_ = s.lock.Close()
		return nil, fmt.Errorf("the worker's state in %s: %w", dir, err)
	}
	return s, nil
}

func (s *state) close() error { return s.lock.Close() }

func (s *state) agents() string { return filepath.Join(s.dir, "agents") }

// readID returns the worker's id, which the first worker in this directory made.
func (s *state) readID() (string, error) {
	path := filepath.Join(s.dir, "id")
	text, err := os.ReadFile(path)
	if id := strings.TrimSpace(string(text)); err == nil && uuid.Validate(id) == nil {
		return id, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	id, err := uuid.NewRandom()
	if err != nil {
		return "", fmt.Errorf("make an id: %w", err)
	}
	return id.String(), replace(path, []byte(id.String()+"\n"))
}

// replace writes a small file in one step.
func replace(path string, data []byte) error {
	tmp := path + ".tmp"
	if err := os.WriteFile(tmp, data, 0o600); err != nil {
		return err
	}
	return os.Rename(tmp, path)
}

// record is what is kept of an agent on disk, for the worker that comes next.
type record struct {
	Claim   string `json:"claim"` // its id
	Run     string `json:"run"`
	Attempt int    `json:"attempt"`
	Job     string `json:"job"`
	// PID and Started identify the process; 0 while it is being started. BootID is the boot of
	// the host in which they do.
	PID     int       `json:"pid,omitempty"`
	Started uint64    `json:"started,omitempty"`
	BootID  string    `json:"boot_id,omitempty"`
	At      time.Time `json:"at"`
}

func (r record) name() string { return r.Run + "." + strconv.Itoa(r.Attempt) }

// save keeps a record.
func (s *state) save(r record) error {
	text, err := json.Marshal(r)
	if err == nil {
		err = replace(filepath.Join(s.agents(), r.name()), append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("keep a record of the agent: %w", err)
	}
	return nil
}

// forget removes a record. What cannot be removed is of a process that has ended, which the next
// worker sees.
func (s *state) forget(r record) { _ = os.Remove(filepath.Join(s.agents(), r.name())) }

// load returns the records. What cannot be read is removed: the agent that it was about is found
// by its journal.
func (s *state) load() ([]record, error) {
	files, err := os.ReadDir(s.agents())
	if err != nil {
		return nil, fmt.Errorf("find the agents of an earlier worker: %w", err)
	}
	var all []record
	for _, f := range files {
		path := filepath.Join(s.agents(), f.Name())
		text, err := os.ReadFile(path)
		var r record
		if err != nil || json.Unmarshal(text, &r) != nil || r.name() != f.Name() {
			_ = os.Remove(path)
			continue
		}
		all = append(all, r)
	}
	return all, nil
}
