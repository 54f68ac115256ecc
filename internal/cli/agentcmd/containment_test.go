package agentcmd

import (
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/process"
)

func TestContainmentLevels(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "auto": "", " AUTO ": "", "cgroup2": process.LevelCgroup2, "cgroup1": process.LevelCgroup1,
		"process-group": process.LevelProcessGroup, "process_group": process.LevelProcessGroup,
	} {
		if got, err := containment(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"none", "cgroup", "cgroup3"} {
		if got, err := containment(text); err == nil || !strings.Contains(err.Error(), "--containment") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
