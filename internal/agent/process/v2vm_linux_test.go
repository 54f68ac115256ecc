package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// machineKernel is where scripts/setup puts the kernel of the machine.
const machineKernel = "/var/cache/stint-tests/vmlinuz"

// machineInit is the first process of the machine. There, and nowhere on a host whose
// hierarchy is of version 1, the unified hierarchy has controllers.
const machineInit = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp STINT_TEST_MACHINE=1
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
mount -t tmpfs -o mode=1777 tmp /tmp
mount -t cgroup2 cgroup /sys/fs/cgroup
cd /tmp
/process.test -test.v -test.timeout=400s '-test.skip=^(TestOnKernelWithVersion2|TestAsOrdinaryUser)$|./^cgroup1$|TestAgentKilled/process_group'
echo "as root: exit $?"

# An ordinary user who was given a part of the hierarchy, as systemd does for its users.
mkdir -p /sys/fs/cgroup/given/tests
for c in memory cpu pids; do
	echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control
	echo "+$c" >/sys/fs/cgroup/given/cgroup.subtree_control
done
for f in given given/tests; do
	chown 65534:65534 /sys/fs/cgroup/$f /sys/fs/cgroup/$f/cgroup.procs /sys/fs/cgroup/$f/cgroup.subtree_control
done
echo 0 >/sys/fs/cgroup/given/tests/cgroup.procs
su -s /bin/sh nobody -c "/process.test -test.v -test.timeout=200s '-test.run=^(TestNothingLeftAfterKill|TestAgentKilled|TestSignalReaches.*|TestExit)$' '-test.skip=TestAgentKilled/process_group'"
echo "as a user: exit $?"
poweroff -f
`

// A kernel whose controllers are all in the unified hierarchy, which the host of the tests
// often has not: the tests of this package run in a small machine of their own, as root and
// as an ordinary user who was given a part of the hierarchy.
func TestOnKernelWithVersion2(t *testing.T) {
	if os.Getenv("STINT_TEST_MACHINE") != "" {
		t.Skip("this is that machine")
	}
	qemu, busybox := needsMachine(t)
	binary := filepath.Join(t.TempDir(), "process.test")
	build := exec.Command("go", "test", "-c", "-ldflags", "-s -w", "-o", binary, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests without cgo: %v\n%s", err, out)
	}
	image := machineImage(t, map[string]string{"bin/busybox": busybox, "process.test": binary})
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, qemu, "-accel", "tcg", "-m", "768", "-nographic", "-no-reboot", "-nic", "none",
		"-kernel", machineKernel, "-initrd", image, "-append", "console=ttyS0 quiet panic=-1 rdinit=/init random.trust_cpu=on")
	raw, err := cmd.CombinedOutput()
	out := strings.ReplaceAll(string(raw), "\r", "")
	if err != nil {
		t.Fatalf("the machine: %v\n%s", err, tail(out))
	}
	for _, want := range []string{"as root: exit 0", "as a user: exit 0"} {
		if !strings.Contains(out, want) {
			t.Errorf("the machine did not say %q:\n%s", want, failures(out))
		}
	}
	root, user, _ := strings.Cut(out, "as root: exit")
	for _, want := range []string{
		"TestExit/cgroup2", "TestOutOfMemoryIsProved/cgroup2", "TestProcessLimitHoldsAForkBomb/cgroup2", "TestCPULimitIsSet/cgroup2",
		"TestNothingLeftAfterKill/double-fork-without-the-mark/cgroup2", "TestNothingLeftAfterKill/ignores/process_group",
		"TestAgentKilled/cgroup2/forks-on-and-on", "TestSignalReachesEverybodyAndWakesTheStopped/cgroup2",
		"TestFurtherAttemptsNestNoDeeper",
	} {
		if !strings.Contains(root, "--- PASS: "+want+" ") {
			t.Errorf("%s did not pass as root in the machine", want)
		}
	}
	if want := "TestNothingLeftAfterKill/double-fork-without-the-mark/cgroup2"; !strings.Contains(user, "--- PASS: "+want+" ") {
		t.Errorf("%s did not pass as a user in the machine", want)
	}
	t.Logf("%d tests passed in the machine", strings.Count(out, "--- PASS: "))
}

// needsMachine returns the programs that the machine needs, or skips the test; CI says with
// STINT_REQUIRE_VM=1 that it must run.
func needsMachine(t *testing.T) (qemu, busybox string) {
	t.Helper()
	lack := func(why error) {
		if os.Getenv("STINT_REQUIRE_VM") == "1" {
			t.Fatalf("cgroup v2 was not tested on a kernel of its own, and STINT_REQUIRE_VM=1: %v", why)
		}
		t.Skipf("cgroup v2 is not tested on a kernel of its own: %v (scripts/setup fetches it)", why)
	}
	if runtime.GOARCH != "amd64" {
		lack(fmt.Errorf("the kernel is for amd64, not %s", runtime.GOARCH))
	}
	if testing.Short() {
		lack(errors.New("-short was given"))
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		lack(err)
	}
	if busybox, err = exec.LookPath("busybox"); err != nil {
		lack(err)
	}
	if _, err := os.Stat(machineKernel); err != nil {
		lack(err)
	}
	return qemu, busybox
}

// machineImage writes the machine's files as an archive that the kernel unpacks ("newc",
// the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
func machineImage(t *testing.T, files map[string]string) string {
	t.Helper()
	var image bytes.Buffer
	add := func(name string, mode int, data []byte) {
		inode := image.Len() + 1 // any that no other has
		fmt.Fprintf(&image, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
			inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0, name)
		pad(&image)
		image.Write(data)
		pad(&image)
	}
	for _, dir := range []string{"bin", "etc", "proc", "sys", "dev", "tmp"} {
		add(dir, 0o040755, nil)
	}
	add("init", 0o100755, []byte(machineInit))
	add("etc/passwd", 0o100644, []byte("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n"))
	for name, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		add(name, 0o100755, data)
	}
	add("TRAILER!!!", 0, nil)
	file := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(file, image.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}

var went = regexp.MustCompile(`^\s*(=== |--- PASS|--- SKIP)`)

// failures leaves out what went well.
func failures(out string) string {
	return tail(strings.Join(slices.DeleteFunc(strings.Split(out, "\n"), went.MatchString), "\n"))
}

func tail(s string) string { return s[max(0, len(s)-12<<10):] }
