package stint_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A package that cannot be installed is an error in CI, where a skipped test proves nothing,
// and a line elsewhere.
func TestSetupFailsInCI(t *testing.T) {
	tools := t.TempDir()
	for _, name := range []string{"bash", "cat", "dirname", "id", "mktemp", "rm", "tail", "uname", "ps", "script", "ip", "systemd-analyze", "gcc", "qemu-system-x86_64", "busybox", "chromium", "awk"} {
		target := "/bin/true" // it counts as installed
		if path, err := exec.LookPath(name); err == nil {
			target = path
		}
		if err := os.Symlink(target, filepath.Join(tools, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(tools, "apt-get"), []byte("#!/bin/sh\nexit 100\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for ci, want := range map[string]int{"true": 1, "": 0} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(tools, "bash"), "scripts/setup")
		cmd.Env = []string{"PATH=" + tools, "CI=" + ci, "TMPDIR=" + t.TempDir()}
		out, err := cmd.CombinedOutput()
		var exit *exec.ExitError
		if err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("CI=%q: exit code %d, want %d:\n%s", ci, got, want, out)
		}
		if !strings.Contains(string(out), "curl") {
			t.Errorf("CI=%q: the missing package is not named:\n%s", ci, out)
		}
	}
}
