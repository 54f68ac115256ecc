package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/machine"
)

// TestNothingBesidesTheJobIsWritten shows that nothing that is linked into the programs writes a line when they run a job,
// because cron would mail it: not where the kernel's files are hidden, as ip netns exec does, and not in a root directory
// without /proc and /sys.
func TestNothingBesidesTheJobIsWritten(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make network namespaces and change the root directory")
	}
	for _, program := range []string{stint, stintAgent} {
		t.Run(filepath.Base(program)+" under ip netns exec", func(t *testing.T) { quietInNamespace(t, program) })
		t.Run(filepath.Base(program)+" in a root directory of its own", func(t *testing.T) { quietInRoot(t, program) })
	}
}

func quietInNamespace(t *testing.T, program string) {
	name := fmt.Sprintf("stint-quiet-%d", os.Getpid())
	for _, args := range [][]string{{"netns", "add", name}, {"-n", name, "link", "set", "lo", "up"}} {
		if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
			t.Skipf("this machine has no network namespaces: %v %s", err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("ip", "netns", "delete", name).CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, out)
		}
	})
	h := newHost(t)
	inside := func(args ...string) *exec.Cmd {
		return h.command("ip", append([]string{"netns", "exec", name}, args...)...)
	}
	url := "http://127.0.0.1:7846"
	server := inside(stint, "server", "--data", filepath.Join(t.TempDir(), "data"))
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM) // Wait says whether it has ended
		if err := server.Wait(); err != nil {
			t.Errorf("the server ended with %v", err)
		}
	})
	eventually(t, "the server is ready", func() bool { return finish(t, inside(stint, "runs", "--server", url)).code == 0 })
	r := finish(t, inside(program, "run", "--server", url, "--flush-timeout", "30s", "--", "true"))
	if r != (result{}) {
		t.Errorf("the job left %+v", r)
	}
}

func quietInRoot(t *testing.T, program string) {
	s, root := startServer(t), t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("a static busybox is the job, and it is not here (scripts/setup installs it)")
	}
	for from, to := range map[string]string{program: "/program", busybox: "/true"} {
		data, err := os.ReadFile(from)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(root+to, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	h := newHost(t)
	cmd := h.command("/program", "run", "--server", s.url, "--flush-timeout", "30s", "--", "/true")
	cmd.Dir, cmd.SysProcAttr = "/", &syscall.SysProcAttr{Chroot: root}
	if r := finish(t, cmd); r != (result{}) {
		t.Errorf("the job left %+v", r)
	}
}

// quietInit is the first process of a machine whose kernel keeps no pressure figures. Its jobs take so long that the server,
// on an emulated processor, answers before they end; agents say it if a journal is left for later.
const quietInit = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
for module in /modules/*; do insmod $module; done # they say which user a connection belongs to
ip link set lo up
ls /proc/pressure /sys/fs/cgroup/cpu.pressure 2>/dev/null && echo "the kernel has pressure figures"
ls /sys/fs/cgroup/cgroup.controllers
stint server --data /tmp/data 2>/tmp/server.log &
waited=0
until stint runs >/dev/null 2>/tmp/runs.log; do
	sleep 1
	waited=$((waited+1))
	[ $waited -lt 100 ] || { cat /tmp/server.log /tmp/runs.log; poweroff -f; }
done
for program in stint stint-agent; do
	$program run --flush-timeout 60s -- sleep 5 >/tmp/stdout 2>/tmp/stderr
	echo "$program: exit $?, $(cat /tmp/stdout /tmp/stderr | wc -c) bytes"
	cat /tmp/stderr
done
stint runs
poweroff -f
`

// TestNothingIsWrittenWithoutPressure is the same on a kernel without pressure figures, which distributions turn off.
func TestNothingIsWrittenWithoutPressure(t *testing.T) {
	m, err := machine.Find()
	switch {
	case err != nil && os.Getenv("STINT_REQUIRE_VM") == "1":
		t.Fatalf("no kernel without pressure figures was booted, and STINT_REQUIRE_VM=1: %v", err)
	case err != nil:
		t.Skipf("no kernel without pressure figures is booted: %v", err)
	case testing.Short():
		t.Skip("no kernel without pressure figures is booted: -short was given")
	}
	files := map[string]machine.File{
		"init":       machine.Program([]byte(quietInit)),
		"etc/passwd": machine.Text("root:x:0:0::/:/bin/sh\n"),
		"etc/hosts":  machine.Text("127.0.0.1 localhost\n"),
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp"} {
		files[dir] = machine.File{Mode: machine.Directory | 0o755}
	}
	programs := map[string]string{"bin/busybox": m.Busybox, "bin/stint": stint, "bin/stint-agent": stintAgent}
	for i, module := range m.Modules {
		programs[fmt.Sprintf("modules/%d.ko", i)] = module
	}
	for name, program := range programs {
		data, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = machine.Program(data)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	out, err := m.Boot(ctx, writeImage(t, files), "/init", 768, "psi=0")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if strings.Contains(out, "the kernel has pressure figures") || !strings.Contains(out, "/sys/fs/cgroup/cgroup.controllers") {
		t.Errorf("the machine is not one with the unified hierarchy and without pressure figures:\n%s", out)
	}
	for _, want := range []string{"stint: exit 0, 0 bytes", "stint-agent: exit 0, 0 bytes", "sleep#2"} {
		if !strings.Contains(out, want) {
			t.Errorf("the machine did not print %q:\n%s", want, out)
		}
	}
}
