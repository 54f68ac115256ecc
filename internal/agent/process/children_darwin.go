package process

import (
	"os"
	"sync"
)

// children is what this process knows of its children. macOS gives orphans to launchd, so
// there is nothing to adopt and nothing to reap here but what Start made.
var children = registry{groups: map[*Group]struct{}{}, own: map[int]struct{}{}}

type registry struct {
	mu     sync.Mutex
	groups map[*Group]struct{}
	own    map[int]struct{}
}

func (r *registry) join(g *Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups[g] = struct{}{}
}

func (r *registry) leave(g *Group) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.groups, g)
}

func (r *registry) start(path string, args []string, attr *os.ProcAttr) (*os.Process, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p, err := os.StartProcess(path, args, attr)
	if err == nil {
		r.own[p.Pid] = struct{}{}
	}
	return p, err
}

func (r *registry) forget(pid int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.own, pid)
}

func (r *registry) reap() int { return 0 }
