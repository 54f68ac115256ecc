//go:build linux || darwin

package process

import (
	"syscall"

	"stint.dev/stint/internal/agent/process/member"
)

// hooks are what lower packages ask of a group.
type hooks struct{ g *Group }

func (h hooks) HasSession(id int) bool {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	_, ours := h.g.sessions[id]
	return ours
}

func (h hooks) Marks() member.Marks { return h.g.marks() }

func (h hooks) AddUsage(u *syscall.Rusage) { h.g.addUsage(u) }

func (h hooks) Reaped() { h.g.guard.RetractEnded() }

func (h hooks) Note(format string, args ...any) { h.g.note(format, args...) }

func (h hooks) KilledFromOutside() (pid int, name string, killed bool) {
	h.g.mu.Lock()
	defer h.g.mu.Unlock()
	if h.g.killing {
		return 0, "", false
	}
	for _, p := range h.g.sessions {
		select {
		case <-p.done:
			if p.exit.SignalNo == int(syscall.SIGKILL) {
				return p.pid, p.name, true
			}
		default:
		}
	}
	return 0, "", false
}

func (h hooks) Lives() bool { return h.g.startedLives() || !h.g.IsEmpty() }

func (h hooks) CgroupDirs() []string { return h.g.containment.Dirs() }
