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
	found := checkContainment(process.Options{
		Run: noRun, Attempt: 1, AtMost: process.LevelProcessGroup,
		MemoryLimitBytes: 50 << 20, MemoryLimitName: "--memory-limit 50M", CPULimitName: "--cpu-limit",
	})
	if len(found) != 3 || found[0].Detail != "jobs are contained by process_group, the best that --containment allows" || found[0].Do != "" {
		t.Errorf("%+v", found)
	}
	for i, name := range []string{"--memory-limit 50M", "--cpu-limit"} {
		if f := found[i+1]; f.Detail != name+" is not enforced: cgroups are left alone, as --containment asks" {
			t.Errorf("%+v", f)
		}
	}
}
