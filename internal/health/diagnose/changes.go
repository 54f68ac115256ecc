package diagnose

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
	"stint.dev/stint/journal"
)

// Side is one of two runs that are compared.
type Side struct {
	Identity journal.Attempt
	Usage    job.Usage
	Duration time.Duration // 0 if it is not known
}

// Changes returns the differences between two runs of a job.
func Changes(before, after Side) []api.Change {
	out := []api.Change{}
	add := func(what, old, now string) {
		if old != now {
			out = append(out, api.Change{What: what, Before: old, After: now})
		}
	}
	a, b := before.Identity, after.Identity
	add("command", job.CommandLine(a.Args), job.CommandLine(b.Args))
	add("command", dirText(a.Dir), dirText(b.Dir))
	add("install", strings.Join(a.Install, "\n"), strings.Join(b.Install, "\n"))
	for _, name := range keys(a.LockFiles, b.LockFiles) {
		add("lock_file", hashOf(name, a.LockFiles), hashOf(name, b.LockFiles))
	}
	add("agent_version", a.AgentVersion, b.AgentVersion)
	add("host", a.Host, b.Host)
	for _, key := range keys(a.Labels, b.Labels) {
		add("labels", labelOf(key, a.Labels), labelOf(key, b.Labels))
	}
	removed, added := environmentChanges(a, b)
	add("environment", removed, added)
	add("limits", limits(a), limits(b))
	return append(out, profile(before, after)...)
}

// dirText returns the text for a working directory.
func dirText(dir string) string {
	if dir == "" {
		return ""
	}
	return "in " + dir
}

// keys returns the keys of both maps in order.
func keys(a, b map[string]string) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

func hashOf(name string, of map[string]string) string {
	if sum, ok := of[name]; ok {
		return name + " " + sum
	}
	return ""
}

func labelOf(key string, of map[string]string) string {
	if value, ok := of[key]; ok {
		return key + "=" + value
	}
	return ""
}

// environmentChanges returns the names of the variables that only one of two attempts had, without those that Stint
// and shells set.
func environmentChanges(a, b journal.Attempt) (removed, added string) {
	if a.Environment == "" || b.Environment == "" {
		return only(a.EnvNames, b.EnvNames), only(b.EnvNames, a.EnvNames)
	}
	x, y := strings.Fields(a.Environment), strings.Fields(b.Environment)
	return only(x, y), only(y, x)
}

// only returns the names that are not in without.
func only(these, without []string) string {
	var out []string
	for _, name := range these {
		if !slices.Contains(without, name) && !strings.HasPrefix(name, "STINT_") && name != "_" && name != "SHLVL" && name != "OLDPWD" {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return strings.Join(slices.Compact(out), " ")
}

// limits returns the text for the limits of an attempt.
func limits(a journal.Attempt) string {
	var parts []string
	add := func(name string, ms int64) {
		if ms > 0 {
			parts = append(parts, name+" "+rules.Span(time.Duration(ms)*time.Millisecond))
		}
	}
	add("timeout", a.TimeoutMS)
	add("install timeout", a.InstallTimeoutMS)
	add("no-output timeout", a.NoOutputTimeoutMS)
	add("no-progress timeout", a.NoProgressTimeoutMS)
	add("expect", a.ExpectMS)
	if a.MemoryLimitBytes > 0 {
		parts = append(parts, "memory "+job.Bytes(a.MemoryLimitBytes))
	}
	if a.CPULimit > 0 {
		parts = append(parts, fmt.Sprintf("cpu %g", a.CPULimit))
	}
	return strings.Join(parts, ", ")
}

// profile compares what two runs have used. A change is at least a factor of 1.5.
func profile(before, after Side) []api.Change {
	var out []api.Change
	add := func(name string, old, now, least float64, write func(float64) string) {
		if old <= 0 || now <= 0 || max(old, now) < least || max(old, now) < 1.5*min(old, now) {
			return
		}
		out = append(out, api.Change{What: "profile", Before: name + " " + write(old), After: name + " " + write(now)})
	}
	size := func(f float64) string { return job.Bytes(int64(f)) }
	lasting := func(f float64) string { return rules.Span(rules.Seconds(f)) }
	add("duration", before.Duration.Seconds(), after.Duration.Seconds(), 2, lasting)
	add("CPU", before.Usage.CPUSeconds, after.Usage.CPUSeconds, 2, lasting)
	add("peak memory", float64(before.Usage.PeakMemoryBytes), float64(after.Usage.PeakMemoryBytes), 16<<20, size)
	add("read", float64(before.Usage.ReadBytes), float64(after.Usage.ReadBytes), 16<<20, size)
	add("written", float64(before.Usage.WrittenBytes), float64(after.Usage.WrittenBytes), 16<<20, size)
	return out
}
