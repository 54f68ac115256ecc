//go:build linux || darwin

package process

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

// mostDenied bounds what the text of a DeniedError lists.
const mostDenied = 8

func (e *DeniedError) Error() string {
	var list []string
	for i, p := range e.Processes {
		if i == mostDenied {
			list = append(list, fmt.Sprintf("and %d more", len(e.Processes)-i))
			break
		}
		list = append(list, fmt.Sprintf("%s (pid %d) runs as %s", p.Name, p.PID, p.Owner))
	}
	return fmt.Sprintf("%s; %s may not signal that", strings.Join(list, ", "), userName(os.Geteuid()))
}

func (e *DeniedError) add(m Member) {
	uid := effectiveUID(m.PID)
	e.Processes = append(e.Processes, Denied{PID: m.PID, Name: m.Name, UID: uid, Owner: userName(uid)})
}

// orNil is the error if there is something in it.
func (e *DeniedError) orNil() error {
	if len(e.Processes) == 0 {
		return nil
	}
	return e
}

func userName(uid int) string {
	if uid < 0 {
		return "another user"
	}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return "uid " + strconv.Itoa(uid)
}
