//go:build linux || darwin

// Package member identifies the processes of an attempt: by PID and start time, so that a signal
// reaches no other process that got the same number, and by the marks in their environment. It
// also describes them in texts for people.
package member

import "stint.dev/stint/internal/agent/process/procfs"

// Member is one living process of an attempt.
type Member struct {
	PID   int
	Name  string // the kernel's short name of the program
	State string // one letter as ps shows it: R, S, D, T …; zombies are no members
	// StartedTicks distinguishes processes that had the same PID one after the other; its unit
	// is the system's own. It is 0 for a process that /proc hides.
	StartedTicks uint64
}

// Of returns the member that s describes.
func Of(s *procfs.Stat) Member {
	name := s.Name()
	if s.Hidden {
		name = "a hidden process"
	}
	return Member{PID: s.PID, Name: name, State: string(rune(s.State)), StartedTicks: s.StartedTicks}
}
