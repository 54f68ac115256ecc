package agentcmd

import (
	"strings"
	"testing"

	"stint.dev/stint/internal/agent/process/contain"
)

func TestContainmentLevels(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "auto": "", " AUTO ": "", "cgroup2": contain.LevelCgroup2, "cgroup1": contain.LevelCgroup1,
		"process-group": contain.LevelProcessGroup, "process_group": contain.LevelProcessGroup,
	} {
		if got, err := containment(text); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"none", "cgroup", "cgroup3"} {
		if got, err := containment(text); err == nil || !strings.Contains(err.Error(), "is none of auto") {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
