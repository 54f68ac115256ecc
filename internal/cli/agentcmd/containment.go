package agentcmd

import (
	"strings"

	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// containmentRow is the option that keeps the containment of a job from being the best that
// the host offers.
func containmentRow() option.Option {
	return option.Option{
		Name: "containment", Value: "LEVEL", Default: "auto",
		Help: "best level of containment to use: auto, cgroup2, cgroup1, or process-group, which leaves cgroups alone",
	}
}

// containment reads a level; empty is the best there is.
func containment(text string) (string, error) {
	switch level := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(text)), "-", "_"); level {
	case "auto", "":
		return "", nil
	case process.LevelCgroup2, process.LevelCgroup1, process.LevelProcessGroup:
		return level, nil
	}
	return "", option.Usagef("--containment: %s is none of auto, cgroup2, cgroup1, process-group", job.Quote(text))
}
