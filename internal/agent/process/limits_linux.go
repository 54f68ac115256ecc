package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path"
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent/process/member"
)

// cpuPeriodMicros is the period over which a CPU limit is spread, the kernel's default.
const cpuPeriodMicros = 100_000

// limit is one bound of an attempt and where it is written.
type limit struct {
	controller string
	what       string // for a person
	v2File     string
	v2Value    string
	v1         [][2]string // file and value

	in  *leaf // the cgroup that has it; nil for none
	why string
}

type limits []limit

func newLimits(o Options) (ls limits) {
	if o.MemoryLimitBytes > 0 {
		v := strconv.FormatInt(o.MemoryLimitBytes, 10)
		ls = append(ls, limit{
			controller: "memory", what: o.memoryLimitName(), v2File: "memory.max", v2Value: v,
			v1: [][2]string{{"memory.limit_in_bytes", v}},
		})
	}
	if o.CPULimit > 0 {
		quota := strconv.FormatInt(cpuQuota(o.CPULimit), 10)
		period := strconv.Itoa(cpuPeriodMicros)
		ls = append(ls, limit{
			controller: "cpu", what: o.cpuLimitName(), v2File: "cpu.max", v2Value: quota + " " + period,
			v1: [][2]string{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}},
		})
	}
	if o.ProcessLimit > 0 {
		v := strconv.Itoa(o.ProcessLimit)
		ls = append(ls, limit{
			controller: "pids", what: o.processLimitName(), v2File: "pids.max", v2Value: v,
			v1: [][2]string{{"pids.max", v}},
		})
	}
	return ls
}

// cpuQuota is the share of each period in µs; the kernel takes no less than 1 ms.
func cpuQuota(cores float64) int64 {
	return int64(math.Max(1000, math.Min(cores*cpuPeriodMicros, 1<<40)))
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
// part of the reason of a limit that cannot be enforced.
func (ls limits) apply(c *cage, why error, note func(string, ...any)) {
	for i := range ls {
		l := &ls[i]
		err := why
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
		note("%s", unenforced{l.what, l.why})
	}
}

// whyUnenforced is the reason in one line. What a user may not do fails in each hierarchy alike.
func whyUnenforced(err error) string {
	var first *os.PathError
	if errors.As(err, &first) && errors.Is(first, os.ErrPermission) {
		return fmt.Sprintf("%s may not make cgroups (%v)", member.UserName(os.Geteuid()), first)
	}
	return strings.ReplaceAll(err.Error(), "\n", "; ")
}

// lost marks the limits in a cgroup that the job's processes do not enter.
func (ls limits) lost(in *leaf) {
	for i := range ls {
		if ls[i].in == in {
			ls[i].in, ls[i].why = nil, "the job's processes are not in the cgroup "+in.dir
		}
	}
}

// unenforced are the limits that do not hold.
func (c *cage) unenforced() (all []unenforced) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.limits {
		if l.in == nil {
			all = append(all, unenforced{l.what, l.why})
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
