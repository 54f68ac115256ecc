//go:build linux || darwin

package member

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
)

// DeniedError says which processes of an attempt live on because this user may not signal
// them: programs that became another user, as sudo does.
type DeniedError struct{ Processes []Denied }

// Denied is one of those processes.
type Denied struct {
	PID   int
	Name  string // of the program
	UID   int    // of the user that it runs as; -1 when that is not known
	Owner string // that user's name, or its number
}

// maxDenied bounds what the text of a DeniedError lists.
const maxDenied = 8

func (e *DeniedError) Error() string {
	var list []string
	for i, p := range e.Processes {
		if i == maxDenied {
			list = append(list, fmt.Sprintf("and %d more", len(e.Processes)-i))
			break
		}
		list = append(list, fmt.Sprintf("%s (pid %d) runs as %s", p.Name, p.PID, p.Owner))
	}
	return fmt.Sprintf("%s; %s may not signal that", strings.Join(list, ", "), UserName(os.Geteuid()))
}

// Add adds a process to the error.
func (e *DeniedError) Add(m Member) {
	uid := effectiveUID(m.PID)
	e.Processes = append(e.Processes, Denied{PID: m.PID, Name: m.Name, UID: uid, Owner: UserName(uid)})
}

// OrNil returns the error, or nil when it names no process.
func (e *DeniedError) OrNil() error {
	if len(e.Processes) == 0 {
		return nil
	}
	return e
}

// UserName returns the name of a user, or the number where it has none.
func UserName(uid int) string {
	if uid < 0 {
		return "another user"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}
