//go:build linux || darwin

package process

import (
	"errors"
	"fmt"
	"syscall"

	"stint.dev/stint/internal/agent/process/procfs"
)

// Where the host's processes cannot be listed, as in a chroot without a /proc, a group reaches
// those that are still in the process group of a process of Start: the kernel finds these by
// itself. What has left its process group is then out of reach.

// signalUnlisted sends sig to these process groups. err is why the members cannot be listed; it
// is part of the error, unless Contain has noted it.
func (g *Group) signalUnlisted(sig syscall.Signal, err error) error {
	if errors.Is(err, procfs.ErrForeign) {
		err = nil
	}
	for _, p := range g.liveSessions() {
		if sigErr := syscall.Kill(-p.pid, sig); sigErr != nil && !errors.Is(sigErr, syscall.ESRCH) {
			err = errors.Join(err, fmt.Errorf("process group %d of %s: %w", p.pid, p.name, sigErr))
		}
	}
	return err
}

// liveSessions returns the processes of Start in whose process groups something is left.
func (g *Group) liveSessions() (live []*Process) {
	g.mu.Lock()
	all := make([]*Process, 0, len(g.sessions))
	for _, p := range g.sessions {
		all = append(all, p)
	}
	g.mu.Unlock()
	for _, p := range all {
		if !g.isVacant(p) {
			live = append(live, p)
		}
	}
	return live
}

// isVacant reports whether nothing is left in the process group of p. Once that is so the number
// may be given to a stranger, and is not asked for again.
func (g *Group) isVacant(p *Process) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.vacant = p.vacant || errors.Is(syscall.Kill(-p.pid, 0), syscall.ESRCH)
	return p.vacant
}
