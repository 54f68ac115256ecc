package owner

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Holder is the process that holds a run, as far as it is known.
type Holder struct {
	PID  int  `json:"pid"`
	Host Host `json:"host"`
}

// ErrExists says that the spool holds a journal of this attempt already.
var ErrExists = errors.New("the same attempt of the same run was started before")

// RunningError says that another process holds the run. It is an ErrExists, too.
type RunningError struct {
	Run  string
	PID  int    // of its agent, on Host; 0 if the process or its host is not known, or it has ended
	Host string // of its agent, if that is not this one
}

func (e *RunningError) Error() string {
	if e.Host != "" {
		return fmt.Sprintf("run %s is running on host %s, pid %d", e.Run, e.Host, e.PID)
	}
	if e.PID == 0 {
		return fmt.Sprintf("another process holds the journal of run %s", e.Run)
	}
	return fmt.Sprintf("run %s is running on this host, pid %d", e.Run, e.PID)
}

func (e *RunningError) Is(target error) bool { return target == ErrExists }

// Running returns the error for a run that by holds, seen from a host. A pid says something
// only together with its host.
func Running(run string, by Holder, here Host) *RunningError {
	unknown := here == (Host{}) || by.Host == (Host{})
	switch {
	case unknown, by.PID <= 0:
	case here.Is(by.Host):
		if unix.Kill(by.PID, 0) != unix.ESRCH {
			return &RunningError{Run: run, PID: by.PID}
		}
	case by.Host.named():
		return &RunningError{Run: run, PID: by.PID, Host: by.Host.Name}
	}
	return &RunningError{Run: run}
}
