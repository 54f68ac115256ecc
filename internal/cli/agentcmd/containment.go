package agentcmd

import (
	"fmt"
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// containmentRow returns the option that keeps the containment of a job from being the best that
// the host offers.
func containmentRow() option.Option {
	return option.Option{
		Name: "containment", Value: "LEVEL", Default: "auto", Effect: option.Shapes, Check: checkContainment,
		Help: "best level of containment to use: auto, cgroup2, cgroup1, or process-group, which does not use cgroups",
	}
}

// setContainment fills in how the job's processes are held together and ranked.
func setContainment(c *agent.Config, opts *option.Set) {
	c.Containment, _ = containment(opts.Text("containment")) // see checkContainment
	var limits process.Options
	setLimits(&limits, opts)
	c.MemoryLimit, c.MemoryLimitName = limits.MemoryLimitBytes, limits.MemoryLimitName
	c.CPULimit, c.CPULimitName = limits.CPULimit, limits.CPULimitName
	c.OOMScoreAdj, _ = oomScore(opts.Text("oom-score-adj")) // see checkOOMScore
}

func checkContainment(text string) error {
	_, err := containment(text)
	return err
}

func checkOOMScore(text string) error {
	_, err := oomScore(text)
	return err
}

// containment reads a level; empty is the best there is.
func containment(text string) (string, error) {
	switch level := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(text)), "-", "_"); level {
	case "auto", "":
		return "", nil
	case contain.LevelCgroup2, contain.LevelCgroup1, contain.LevelProcessGroup:
		return level, nil
	}
	return "", fmt.Errorf("%s is none of auto, cgroup2, cgroup1, process-group", job.Quote(text))
}

// oomScoreRow returns the option that ranks the job when the kernel runs out of memory.
func oomScoreRow() option.Option {
	return option.Option{
		Name: "oom-score-adj", Value: "N", Effect: option.Shapes, Check: checkOOMScore,
		Help: "oom_score_adj of the job's processes, from -1000 to 1000: the more, the sooner the kernel kills them when memory runs out (default: the caller's)",
	}
}

// oomScore reads it; nil keeps the caller's.
func oomScore(text string) (*int, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // nil: the caller's
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < -1000 || n > 1000 {
		return nil, fmt.Errorf("%s is not a whole number from -1000 to 1000", job.Quote(text))
	}
	return &n, nil
}
