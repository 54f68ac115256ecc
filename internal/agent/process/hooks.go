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

func (h hooks) Reaped() { h.g.retractEnded() }
