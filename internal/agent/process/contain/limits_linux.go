package contain

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"stint.dev/stint/internal/agent/process/member"
)

// limit is one bound of an attempt and where it holds.
type limit struct {
	Limit
	in  *leaf // the cgroup that has it; nil for none
	why string
}

type limits []limit

func newLimits(all []Limit) (ls limits) {
	for _, l := range all {
		ls = append(ls, limit{Limit: l})
	}
	return ls
}

func (ls limits) any() bool { return len(ls) > 0 }

func (ls limits) needs(controller string) bool {
	for _, l := range ls {
		if l.controller == controller {
			return true
		}
	}
	return false
}

// apply writes the limits into the cgroups of c. why is what kept cgroups from being made; it is
// the reason of a limit that cannot be enforced, unless the host has a better one.
func (ls limits) apply(c *Containment, host hierarchies, why error) {
	for i := range ls {
		l := &ls[i]
		err := why
		if lacking := host.lacks(l.controller, c.v2); lacking != nil && !errors.Is(why, errLeftAlone) {
			err = lacking
		}
		if c.v2 != nil && exists(path.Join(c.v2.dir, l.v2File)) {
			if err = c.v2.set(l.v2File, l.v2Value); err == nil {
				l.in = c.v2
				continue
			}
		} else if group := c.v1With(l.controller); group != nil {
			if err = l.applyV1(group); err == nil {
				l.in = group
				continue
			}
		}
		if err == nil {
			err = fmt.Errorf("no cgroup with the %s controller could be made below the agent's own", l.controller)
		}
		l.why = whyUnenforced(err)
		c.group.Note("%s", unenforced{l.name, l.why})
	}
}

// whyUnenforced returns the reason in one line. What a user may not do fails in each hierarchy alike.
func whyUnenforced(err error) string {
	var first *os.PathError
	if errors.As(err, &first) && errors.Is(first, os.ErrPermission) {
		return fmt.Sprintf("%s may not make cgroups (%v)", member.UserName(os.Geteuid()), first)
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// markLost marks the limits in a cgroup that the job's processes do not enter.
func (ls limits) markLost(in *leaf) {
	for i := range ls {
		if ls[i].in == in {
			ls[i].in, ls[i].why = nil, "the job's processes are not in the cgroup "+in.dir
		}
	}
}

// unenforced returns the limits that do not hold.
func (c *Containment) unenforced() (all []unenforced) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.limits {
		if l.in == nil {
			all = append(all, unenforced{l.name, l.why})
		}
	}
	return all
}

func (l limit) applyV1(group *leaf) error {
	for _, file := range l.v1 {
		if err := group.set(file[0], file[1]); err != nil {
			return err
		}
	}
	return nil
}
