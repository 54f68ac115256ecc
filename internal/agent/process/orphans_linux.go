package process

import "stint.dev/stint/internal/agent/process/procfs"

// orphans reports whether an adopted orphan of the group is still to be reaped: one that
// has just died is gone only then.
func (g *Group) orphans() (some bool) {
	children.adopted(g, func(*procfs.Stat) { some = true })
	return some
}
