package process

import "stint.dev/stint/internal/agent/process/procfs"

// orphans reports whether an adopted orphan of the group is still there, alive or to be
// reaped; listed is false where the system does not tell.
func (g *Group) orphans() (some, listed bool) {
	listed = children.adopted(g, func(*procfs.Stat) { some = true })
	return some, listed
}
