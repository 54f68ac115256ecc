package owner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"stint.dev/stint/internal/agent/spool/disk"
)

// ClaimPrefix begins the name of the file by which an agent holds a run.
const ClaimPrefix = ".run-"

// Claim holds a run for an agent that may make several attempts of it. The lock of a
// journal does that for one attempt, and none is held between two. The kernel drops it when
// the agent is gone.
type Claim struct{ file *os.File }

// Take takes a run for this process, on a host, by a file in a directory. It returns a
// *RunningError when another process has it.
func Take(dir, run string, host Host) (*Claim, error) {
	const tries = 10 // each fails only if another owner releases the run at that moment
	path := filepath.Join(dir, ClaimPrefix+run)
	for range tries {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("spool: claim run %s: %w", run, err)
		}
		held, err := claim(file, run, host)
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

// claim locks the file, and writes its holder into it. held is false without an error when its
// owner has just removed it.
func claim(file *os.File, run string, host Host) (held bool, err error) {
	err = disk.Lock(file)
	if errors.Is(err, disk.ErrBusy) {
		return false, claimedBy(file, run, host)
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
	text, err := json.Marshal(Holder{os.Getpid(), host})
	if err == nil {
		err = file.Truncate(0)
	}
	if err == nil {
		_, err = file.WriteAt(append(text, '\n'), 0)
	}
	if err != nil {
		return false, fmt.Errorf("spool: claim run %s: %w", run, err)
	}
	return true, nil
}

// Check returns a *RunningError when another process holds the run. host is this one.
func Check(dir, run string, host Host) error {
	file, err := os.Open(filepath.Join(dir, ClaimPrefix+run))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("spool: find out who holds run %s: %w", run, err)
	}
	defer file.Close()
	if !disk.Locked(file) {
		return nil // an agent that died left it
	}
	return claimedBy(file, run, host)
}

func claimedBy(file *os.File, run string, host Host) error {
	return Running(run, holderOf(file), host)
}

// holderOf reads who holds a claim; zero while that is being written.
func holderOf(file *os.File) (h Holder) {
	text, err := io.ReadAll(io.NewSectionReader(file, 0, 64<<10))
	if err != nil || json.Unmarshal(text, &h) != nil {
		return Holder{}
	}
	return h
}

// Sweep removes a claim whose agent died on this host. Locks of other hosts need not reach
// this one: what they hold is theirs.
func Sweep(dir, run string, host Host) {
	file, err := os.Open(filepath.Join(dir, ClaimPrefix+run))
	if err != nil {
		return
	}
	h := holderOf(file)
	_ = file.Close() // it was read
	if !host.Is(h.Host) {
		return
	}
	if c, err := Take(dir, run, host); err == nil {
		_ = c.Release() // another time
	}
}

// Release gives up the claim.
func (c *Claim) Release() error {
	return errors.Join(os.Remove(c.file.Name()), c.file.Close())
}
