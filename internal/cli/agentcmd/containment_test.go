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

// Doctor tells what the level that was asked for lacks, not what the host could do.
func TestDoctorAtALowerLevel(t *testing.T) {
	found := checkContainment(process.LevelProcessGroup)
	if len(found) < 3 || found[0].Detail != "jobs are contained by process_group, the best that --containment allows" || found[0].Do != "" {
		t.Errorf("%+v", found)
	}
	for _, f := range found[1:] {
		if !strings.Contains(f.Detail, "is not enforced") || !strings.Contains(f.Detail, "--containment") {
			t.Errorf("%+v", f)
		}
	}
}
