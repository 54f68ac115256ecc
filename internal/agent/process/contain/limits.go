//go:build linux || darwin

package contain

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"stint.dev/stint/job"
)

// Limit bounds what the processes of an attempt use together. A limit that cannot be enforced
// becomes a note, never an error; see Unenforced.
type Limit struct {
	name       string // for a person
	controller string
	v2File     string
	v2Value    string
	v1         [][2]string // file and value
}

// MemoryLimit bounds the memory. name is what messages call the limit; empty for "the memory limit
// of 50 MiB".
func MemoryLimit(bytes int64, name string) Limit {
	v := strconv.FormatInt(bytes, 10)
	return Limit{
		name: cmp.Or(name, "the memory limit of "+job.Bytes(bytes)), controller: "memory", v2File: "memory.max", v2Value: v,
		v1: [][2]string{{"memory.limit_in_bytes", v}},
	}
}

// cpuPeriodMicros is the period over which a CPU limit is spread, the kernel's default.
const cpuPeriodMicros = 100_000

// CPULimit bounds the CPU time, in cores: 1.5. name is what messages call the limit; empty for
// "the CPU limit of 1.5 cores".
func CPULimit(cores float64, name string) Limit {
	quota, period := strconv.FormatInt(cpuQuota(cores), 10), strconv.Itoa(cpuPeriodMicros)
	return Limit{
		name: cmp.Or(name, fmt.Sprintf("the CPU limit of %g cores", cores)), controller: "cpu", v2File: "cpu.max", v2Value: quota + " " + period,
		v1: [][2]string{{"cpu.cfs_period_us", period}, {"cpu.cfs_quota_us", quota}},
	}
}

// cpuQuota returns the share of each period in µs; the kernel takes no less than 1 ms.
func cpuQuota(cores float64) int64 {
	return int64(math.Max(1000, math.Min(cores*cpuPeriodMicros, 1<<40)))
}

// ProcessLimit bounds the number of processes.
func ProcessLimit(n int) Limit {
	v := strconv.Itoa(n)
	return Limit{
		name: fmt.Sprintf("the limit of %d processes", n), controller: "pids", v2File: "pids.max", v2Value: v,
		v1: [][2]string{{"pids.max", v}},
	}
}

// unenforced is a limit that does not hold.
type unenforced struct{ name, why string }

func (u unenforced) String() string { return unenforcedText([]unenforced{u}) }

// unenforcedText says in one line which limits do not hold, those with the same reason together.
func unenforcedText(all []unenforced) string {
	var reasons, texts []string
	names := map[string][]string{}
	for _, u := range all {
		if !slices.Contains(reasons, u.why) {
			reasons = append(reasons, u.why)
		}
		names[u.why] = append(names[u.why], u.name)
	}
	for _, why := range reasons {
		verb := " is"
		if len(names[why]) > 1 {
			verb = " are"
		}
		texts = append(texts, strings.Join(names[why], " and ")+verb+" not enforced: "+why)
	}
	return strings.Join(texts, "; ")
}

// Unenforced says in one line which limits do not hold, and why; empty when all do. It may change
// with each Start.
func (c *Containment) Unenforced() string { return unenforcedText(c.unenforced()) }
