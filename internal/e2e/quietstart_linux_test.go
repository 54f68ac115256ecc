package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
)

// Nothing that is linked into stint for the server's sake reads or writes anything when
// stint runs a job: not where the kernel's files are hidden (ip netns exec does that, and a
// chroot), and not where there is nothing at all. cron would mail what it writes.
func TestNothingBesidesTheJobIsSaid(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can hide /sys and change the root directory")
	}
	empty := t.TempDir()
	program, err := os.ReadFile(stint)
	if err == nil {
		err = os.WriteFile(filepath.Join(empty, "stint"), program, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	hidden := func(args ...string) *exec.Cmd {
		script := `mount --make-rprivate / && mount -t sysfs sysfs /sys && exec "$@"`
		return h.command("unshare", append([]string{"-m", "-n", "sh", "-c", script, "sh"}, args...)...)
	}
	alone := h.command("/stint", "version")
	alone.Dir, alone.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: empty}
	for _, c := range []struct {
		name           string
		cmd            *exec.Cmd
		stdout, stderr string // patterns
	}{
		{"a job with /sys hidden", hidden(stint, "run", "--flush-timeout", "0s", "--", "echo", "x"), `^x\n$`, `^(stint: .*\n)+$`},
		{"a command with /sys hidden", hidden(stint, "version"), `^stint e2e `, `^$`},
		{"an empty file system", alone, `^stint e2e `, `^$`},
	} {
		r := finish(t, c.cmd)
		if r.code != 0 || !regexp.MustCompile(c.stdout).MatchString(r.stdout) || !regexp.MustCompile(c.stderr).MatchString(r.stderr) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
}
