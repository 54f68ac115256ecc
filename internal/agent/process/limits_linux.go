package process

import (
	"fmt"
	"math"
	"path"
	"strconv"

	"stint.dev/stint/job"
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
}

type limits []limit

func newLimits(o Options) (ls limits) {
	if o.MemoryLimitBytes > 0 {
		v := strconv.FormatInt(o.MemoryLimitBytes, 10)
		ls = append(ls, limit{
			"memory", "the memory limit of " + job.Bytes(o.MemoryLimitBytes),
			"memory.max", v,
			[][2]string{{"memory.limit_in_bytes", v}},
		})
	}
	if o.CPULimit > 0 {
		quota := strconv.FormatInt(cpuQuota(o.CPULimit), 10)
		period := strconv.Itoa(cpuPeriodMicros)
		ls = append(ls, limit{
			"cpu", fmt.Sprintf("the CPU limit of %g cores", o.CPULimit),
			"cpu.max", quota + " " + period,
			[][2]string{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}},
		})
	}
	if o.ProcessLimit > 0 {
		v := strconv.Itoa(o.ProcessLimit)
		ls = append(ls, limit{
			"pids", fmt.Sprintf("the limit of %d processes", o.ProcessLimit),
			"pids.max", v,
			[][2]string{{"pids.max", v}},
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

// apply writes the limits into the cgroups of c. why tells what kept cgroups from being
// made; it becomes part of the note for a limit that cannot be enforced.
func (ls limits) apply(c *cage, why error, note func(string, ...any)) {
	for _, l := range ls {
		err := why
		if c.v2 != nil && exists(path.Join(c.v2.dir, l.v2File)) {
			if err = c.v2.set(l.v2File, l.v2Value); err == nil {
				continue
			}
		} else if group := c.v1With(l.controller); group != nil {
			if err = l.applyV1(group); err == nil {
				continue
			}
		}
		if err == nil {
			err = fmt.Errorf("no cgroup with the %s controller could be made below the agent's own", l.controller)
		}
		note("%s is not enforced: %v", l.what, err)
	}
}

func (l limit) applyV1(group *leaf) error {
	for _, file := range l.v1 {
		if err := group.set(file[0], file[1]); err != nil {
			return err
		}
	}
	return nil
}
