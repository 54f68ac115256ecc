package agentcmd

import (
	"fmt"
	"strings"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

const (
	// minMemory is the least that --memory-limit may say. Under less, a process may not even
	// start: making it counts against the limit.
	minMemory = 4 << 20
	// minCPU is the least that --cpu-limit may say: the kernel takes no less than 1 ms of 100.
	minCPU = 0.01
)

// limitRows returns the options that limit what the job's processes use together.
func limitRows() []option.Option {
	return []option.Option{
		{Name: "memory-limit", Kind: option.Size, Value: "SIZE", Effect: option.Shapes, Check: checkMemoryLimit, Help: "limit the memory of all the job's processes together, at least 4MiB (needs rights on cgroups; see stint doctor)"},
		{Name: "cpu-limit", Kind: option.Number, Value: "CORES", Effect: option.Shapes, Check: checkCPULimit, Help: "limit the CPU of all the job's processes together, at least 0.01 (needs rights on cgroups; see stint doctor)"},
	}
}

// setLimits fills in the limits and what messages call them. 0 is no limit.
func setLimits(o *process.Options, opts *option.Set) {
	o.MemoryLimitBytes, o.CPULimit = opts.Size("memory-limit"), opts.Number("cpu-limit")
	o.MemoryLimitName, o.CPULimitName = asGiven(opts, "memory-limit"), asGiven(opts, "cpu-limit")
}

func checkMemoryLimit(text string) error {
	if n, err := option.ParseSize(text); err == nil && n > 0 && n < minMemory {
		return fmt.Errorf("%s is less than %s, with which a process may fail to start; give more, or leave it out", text, job.Bytes(minMemory))
	}
	return nil
}

func checkCPULimit(text string) error {
	if n, err := option.ParseNumber(text); err == nil && n > 0 && n < minCPU {
		return fmt.Errorf("%s is less than %g cores, the least that the kernel supports; give more, or leave it out", text, minCPU)
	}
	return nil
}

// asGiven returns an option with its value, as the user gave them: "--memory-limit 50M",
// "STINT_MEMORY_LIMIT=50M" or "/etc/stint/agent.conf:3: memory-limit = 50M".
func asGiven(opts *option.Set, name string) string {
	source := opts.Source(name)
	switch {
	case !opts.Given(name):
		return source
	case strings.HasPrefix(source, "--"):
		return source + " " + opts.Text(name)
	case opts.File(name) != "":
		return source + " = " + opts.Text(name)
	}
	return source + "=" + opts.Text(name)
}
