//go:build linux || darwin

package process

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"stint.dev/stint/job"
)

// memoryLimitName, cpuLimitName and processLimitName are what messages call the limits.
func (o Options) memoryLimitName() string {
	return cmp.Or(o.MemoryLimitName, "the memory limit of "+job.Bytes(o.MemoryLimitBytes))
}

func (o Options) cpuLimitName() string {
	return cmp.Or(o.CPULimitName, fmt.Sprintf("the CPU limit of %g cores", o.CPULimit))
}

func (o Options) processLimitName() string {
	return fmt.Sprintf("the limit of %d processes", o.ProcessLimit)
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

// Unenforced says in one line which limits of the options do not hold, and why; empty when all
// do. It may change with each Start.
func (g *Group) Unenforced() string { return unenforcedText(g.cage.unenforced()) }
