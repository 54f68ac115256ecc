package worker

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/job"
)

// Directories stand for cgroups here: the kernel removes an empty one in the same way, and refuses
// one in which something lives as a file system refuses one with a file.
func TestCgroupsOfAgents(t *testing.T) {
	parent := t.TempDir()
	for _, dir := range []string{"worker", "agent-left/stint-run.1", "agent-busy"} {
		if err := os.MkdirAll(filepath.Join(parent, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busy := filepath.Join(parent, "agent-busy", "process")
	if err := os.WriteFile(busy, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c := &cgroups{parent: parent, made: leftGroups(parent)}
	var attr syscall.SysProcAttr
	leave := c.enter("run.1", &attr)
	if !attr.UseCgroupFD || attr.CgroupFD <= 2 {
		t.Errorf("attributes %+v", attr)
	}
	leave()
	names := func() (all []string) {
		entries, err := os.ReadDir(parent)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			all = append(all, e.Name())
		}
		return all
	}
	if got := names(); !slices.Equal(got, []string{"agent-busy", "agent-left", "agent-run.1", "worker"}) {
		t.Errorf("cgroups %v", got)
	}
	c.clear()
	if got := names(); !slices.Equal(got, []string{"agent-busy", "worker"}) {
		t.Errorf("after clear: %v", got)
	}
	if err := os.Remove(busy); err != nil {
		t.Fatal(err)
	}
	if c.clear(); !slices.Equal(names(), []string{"worker"}) || len(c.made) != 0 {
		t.Errorf("after the last has ended: %v, %v", names(), c.made)
	}
	var none *cgroups // a host without any
	attr = syscall.SysProcAttr{}
	none.enter("run.1", &attr)()
	if none.clear(); attr.UseCgroupFD {
		t.Error("a process is born in a cgroup that is not there")
	}
}

// A process is recognized by its number and its start.
func TestLives(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	h := newHost(func(string) string { return "" })
	pid := cmd.Process.Pid
	started := h.started(pid)
	if gone, _ := h.ended(pid, started); gone || started == 0 {
		t.Errorf("process %d, started at %d: ended is %v", pid, started, gone)
	}
	if gone, _ := h.ended(pid, started+1); !gone {
		t.Error("another process of the same number lives")
	}
	if err := h.stop(pid, started+1); err != nil { // it is not that one
		t.Error(err)
	}
	if err := h.stop(pid, started); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // it was ended by a signal
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended with %v", cmd.ProcessState)
	}
	if gone, _ := h.ended(pid, started); !gone {
		t.Error("a process that has ended lives")
	}
}

func TestSettingsAreWhole(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"claim":{"run":"r","attempt":1},"worker":"w7","variables":{},"environment":[],"dir":"/"}`: true, "": false, `{"claim":`: false, `[]`: false,
	} {
		s, err := ReadSettings(strings.NewReader(text))
		if ok != (err == nil) || ok && (s.Claim.Run != "r" || s.Worker != "w7") {
			t.Errorf("%q: %+v, %v", text, s, err)
		}
	}
	if _, err := ReadSettings(strings.NewReader(`"` + strings.Repeat("x", mostSettings) + `"`)); err == nil || !strings.Contains(err.Error(), job.Bytes(mostSettings)) {
		t.Errorf("too much: %v", err)
	}
}
