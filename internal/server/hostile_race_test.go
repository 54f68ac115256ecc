//go:build race

package server_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The race detector takes time and memory itself, and drops a quarter of what is put into each sync.Pool at
// random. So what requests cost is measured in a test binary without it.
func TestCostOfHostileRequests(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "test", "-count=1", "-v", "-run=^"+t.Name()+"$", ".").CombinedOutput()
	t.Logf("%s", out)
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()+" ") {
		t.Errorf("without the race detector: %v", err)
	}
}
