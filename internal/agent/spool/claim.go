package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// claimPrefix begins the name of the file by which an agent holds a run.
const claimPrefix = ".run-"

// Claim holds a run for an agent that may make several attempts of it. The lock of a
// journal does that for one attempt, and none is held between two. The kernel drops it when
// the agent is gone.
type Claim struct{ file *os.File }

// Claim takes a run. It returns a *RunningError when another process has it.
func (s *Spool) Claim(run string) (*Claim, error) {
	const tries = 10 // each fails only if another owner lets go of it at that moment
	path := filepath.Join(s.dir, claimPrefix+run)
	for range tries {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("spool: claim run %s: %w", run, err)
		}
		held, err := claim(file, run)
		if held {
			return &Claim{file}, nil
		}
		_ = file.Close()
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("spool: claim run %s: %s was removed %d times meanwhile", run, path, tries)
}

// claim locks the file, and writes the pid into it. held is false without an error when its
// owner has just removed it.
func claim(file *os.File, run string) (held bool, err error) {
	err = lock(file)
	if errors.Is(err, ErrBusy) {
		return false, claimedBy(file, run)
	}
	if err != nil {
		return false, err
	}
	mine, err := file.Stat()
	if err != nil {
		return false, fmt.Errorf("spool: %s: %w", file.Name(), err)
	}
	there, err := os.Stat(file.Name())
	if err != nil || !os.SameFile(mine, there) {
		return false, nil
	}
	if err = file.Truncate(0); err == nil {
		_, err = file.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return false, fmt.Errorf("spool: claim run %s: %w", run, err)
	}
	return true, nil
}

// Claimed returns a *RunningError when another process holds the run.
func (s *Spool) Claimed(run string) error {
	file, err := os.Open(filepath.Join(s.dir, claimPrefix+run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("spool: look who holds run %s: %w", run, err)
	}
	defer file.Close()
	if !locked(file) {
		return nil // an agent that died left it
	}
	return claimedBy(file, run)
}

func claimedBy(file *os.File, run string) error {
	var text [16]byte
	n, _ := file.ReadAt(text[:], 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text[:n]))) // 0: it is just being written
	return runningError(run, pid)
}

// Release lets go of the run.
func (c *Claim) Release() error {
	return errors.Join(os.Remove(c.file.Name()), c.file.Close())
}
