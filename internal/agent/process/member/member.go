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
	// StartedTicks tells two processes apart that had the same PID; its unit is the
	// system's own.
	StartedTicks uint64
}

// Of is the member that s describes.
func Of(s *procfs.Stat) Member {
	return Member{PID: s.PID, Name: s.Name(), State: string(rune(s.State)), StartedTicks: s.StartedTicks}
}
