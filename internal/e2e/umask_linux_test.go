package e2e

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// A server creates all files for its own user only, whatever umask it was started with: also those of
// libraries, which choose no mode.
func TestUmaskOfAServer(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	s := startServer(t)
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "\nUmask:\t0077\n") {
		t.Errorf("the status of the server:\n%s", status)
	}
}
