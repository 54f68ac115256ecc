package process

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/faulttest/machine"
)

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
/process.test -test.v -test.timeout=400s '-test.skip=^(TestOnKernelWithVersion2|TestAsOrdinaryUser)$|./^cgroup1$|TestAgentKilled/process_group' &&
	/contain.test -test.v -test.timeout=100s && /watch.test -test.v -test.timeout=100s
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
// often has not: the tests of this package, of contain and of watch run in a small machine of their own, as root and
// as an ordinary user who was given a part of the hierarchy.
func TestOnKernelWithVersion2(t *testing.T) {
	if os.Getenv("STINT_TEST_MACHINE") != "" {
		t.Skip("this is that machine")
	}
	m := findMachine(t)
	programs := map[string]string{"bin/busybox": m.Busybox}
	dir := t.TempDir()
	for _, name := range []string{"process.test", "contain.test", "watch.test"} {
		programs[name] = filepath.Join(dir, name)
	}
	build := exec.Command("go", "test", "-c", "-ldflags", "-s -w", "-o", dir, ".", "./contain", "./watch")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the tests without cgo: %v\n%s", err, out)
	}
	image := machineImage(t, programs)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	out, err := m.Boot(ctx, image, "/init", 768)
	if err != nil {
		t.Fatalf("%v\n%s", err, tail(out))
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
		"TestFurtherAttemptsNestNoDeeper", "TestLeavesOfOneNameAtOnce",
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

// findMachine returns a machine, or skips the test; CI says with STINT_REQUIRE_VM=1 that it
// must run.
func findMachine(t *testing.T) machine.Machine {
	t.Helper()
	m, err := machine.Find()
	if err == nil && testing.Short() {
		err = errors.New("-short was given")
	}
	switch {
	case err != nil && os.Getenv("STINT_REQUIRE_VM") == "1":
		t.Fatalf("cgroup v2 was not tested on a kernel of its own, and STINT_REQUIRE_VM=1: %v", err)
	case err != nil:
		t.Skipf("cgroup v2 is not tested on a kernel of its own: %v", err)
	}
	return m
}

// machineImage writes the machine's files.
func machineImage(t *testing.T, programs map[string]string) string {
	t.Helper()
	files := map[string]machine.File{
		"init":       machine.Program([]byte(machineInit)),
		"etc/passwd": machine.Text("root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/tmp:/bin/sh\n"),
	}
	for _, dir := range []string{"proc", "sys", "dev", "tmp"} {
		files[dir] = machine.File{Mode: machine.Directory | 0o755}
	}
	for name, file := range programs {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = machine.Program(data)
	}
	image := filepath.Join(t.TempDir(), "image")
	if err := machine.WriteImage(image, files); err != nil {
		t.Fatal(err)
	}
	return image
}

var went = regexp.MustCompile(`^\s*(=== |--- PASS|--- SKIP)`)

// failures leaves out what went well.
func failures(out string) string {
	return tail(strings.Join(slices.DeleteFunc(strings.Split(out, "\n"), went.MatchString), "\n"))
}

func tail(s string) string { return s[max(0, len(s)-12<<10):] }
