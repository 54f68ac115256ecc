package process

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/internal/agent/process/children"
	"stint.dev/stint/internal/agent/process/procfs"
)

// A shell that starts a helper and becomes the agent, as the entry point of a container does:
// a helper that has ended hides no orphan of the job from the reaper, and one that lives is
// not the job's.
func TestAgentStartedByAShellWithChildren(t *testing.T) {
	for _, level := range levels(t) {
		t.Run(level, func(t *testing.T) {
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command("sh", "-c", `sleep 0 & sh -c 'sleep 0.1 & exit 0' & setsid sleep 1000 & exec "$0"`, self)
			cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=inherits", "STINT_TEST_RUN="+testRun(), "STINT_TEST_LEVEL="+level)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.Stderr = os.Stderr
			out, err := cmd.Output()
			if err != nil || string(out) != "ok\n" {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// mainChildren are the children of the main thread.
func mainChildren() ([]int, error) {
	text, err := procfs.ReadWhole(fmt.Sprintf("/proc/self/task/%d/children", os.Getpid()), 1<<10)
	return procfs.PIDs(nil, text), err
}

// playInherits is that agent.
func playInherits() int {
	fail := func(format string, args ...any) int {
		fmt.Printf(format+"\n", args...)
		return 1
	}
	helper := 0
	for deadline := time.Now().Add(20 * time.Second); ; { // the helper is there, the others have ended
		pids, err := mainChildren()
		if err != nil {
			return fail("%v", err)
		}
		dead := 0
		for _, pid := range pids {
			var s procfs.Stat
			switch {
			case procfs.ReadStat(pid, &s) != nil:
			case s.Dead():
				dead++
			case s.Session == pid && s.Name() == "sleep":
				helper = pid
			}
		}
		if helper > 0 && dead >= 2 {
			break
		}
		if time.Now().After(deadline) {
			return fail("children %v, helper %d", pids, helper)
		}
	}
	defer syscall.Kill(helper, syscall.SIGKILL) //nolint:errcheck // the test is over
	g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: 1, AtMost: os.Getenv("STINT_TEST_LEVEL")})
	if err != nil {
		return fail("%v", err)
	}
	defer g.Close()
	p, err := g.Start(Spec{Args: []string{"sh", "-c", `i=0; while [ $i -lt 20 ]; do (setsid sh -c 'exit 3' &); i=$((i+1)); done`}, Env: os.Environ()})
	if err != nil {
		return fail("%v", err)
	}
	p.Exit()
	if err := g.Kill(); err != nil {
		return fail("%v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := g.Empty(ctx); err != nil {
		ms, _ := g.Members()
		return fail("not empty: %v %v", err, ms)
	}
	children.Reap()
	pids, _ := mainChildren()
	for _, pid := range pids {
		var s procfs.Stat
		if procfs.ReadStat(pid, &s) == nil && s.PGRP != syscall.Getpgrp() && s.Dead() && pid != helper {
			return fail("an orphan of the job was not reaped: pid %d", pid)
		}
	}
	if syscall.Kill(helper, 0) != nil {
		return fail("the helper of the shell was ended")
	}
	fmt.Println("ok")
	return 0
}

// The thread that makes processes steps into the attempt's groups. If it were the main one,
// the agent's memory would be the group's meanwhile, and a group without any would end it.
func TestNeverForkedOnTheMainThread(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=forks", "STINT_TEST_RUN="+testRun())
	if out, err := cmd.Output(); err != nil || string(out) != "0\n" {
		t.Errorf("%v; of 100 processes made on the main thread: %s", err, out)
	}
}

// playForks makes processes from the main thread, as far as that is the scheduler's way.
func playForks() int {
	onMain := 0
	g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: 1, BeforeFork: func() func() {
		if onMainThread() {
			onMain++
		}
		return func() {}
	}})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for range 100 {
		p, err := g.Start(Spec{Args: []string{"true"}, Env: os.Environ()})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		p.Exit()
	}
	fmt.Println(onMain)
	if err := g.Close(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// The agent steps aside once, whatever number of attempts it makes.
func TestFurtherAttemptsNestNoDeeper(t *testing.T) {
	const root = "/sys/fs/cgroup"
	offered, err := os.ReadFile(root + "/cgroup.controllers")
	if err != nil || !slices.Contains(strings.Fields(string(offered)), "memory") || os.Geteuid() != 0 {
		t.Skip("needs root and a cgroup v2 with controllers: it runs in the machine of TestOnKernelWithVersion2")
	}
	if err := os.WriteFile(root+"/cgroup.subtree_control", []byte("+memory"), 0); err != nil {
		t.Fatal(err)
	}
	alone := filepath.Join(root, "alone-"+testRun())
	if err := os.Mkdir(alone, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(alone)
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=attempts", "STINT_TEST_RUN="+testRun())
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimPrefix(alone, root)
	lines := bufio.NewScanner(strings.NewReader(string(out)))
	n := 0
	for ; lines.Scan(); n++ {
		if lines.Text() != want+"/stint-agent "+want {
			t.Errorf("attempt %d: the agent is in, and its group below: %s", n+1, lines.Text())
		}
	}
	if n != 3 {
		t.Errorf("%d attempts: %s", n, out)
	}
	if err := removeTree(alone); err != nil {
		t.Error(err)
	}
}

// playAttempts makes three attempts with limits, one after the other.
func playAttempts() int {
	for attempt := range 3 {
		g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: attempt, MemoryLimitBytes: 64 << 20})
		if err != nil {
			fmt.Println(err)
			return 1
		}
		own, _ := os.ReadFile("/proc/self/cgroup")
		fmt.Println(strings.TrimPrefix(strings.TrimSpace(string(own)), "0::"), strings.TrimPrefix(filepath.Dir(g.CgroupDir("cgroup2")), "/sys/fs/cgroup"))
		if err := g.Close(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}
