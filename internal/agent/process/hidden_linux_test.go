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

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
)

// Processes that /proc hides from their own user, as it does with hidepid those that protect their
// memory or are setuid, are listed, signalled and killed with all others of the attempt.
func TestHiddenProcesses(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can mount a /proc")
	}
	dir, err := os.MkdirTemp("/tmp", "stint-process-test") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copySelf(t, filepath.Join(dir, "plain"), 0o755)
	for _, option := range []string{"hidepid=0", "hidepid=1", "hidepid=2", "hidepid=4"} {
		t.Run(option, func(t *testing.T) {
			cmd := exec.Command(filepath.Join(dir, "plain"))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=hiding", "STINT_TEST_OPTION="+option, "STINT_TEST_RUN="+testRun())
			cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
			out, err := cmd.CombinedOutput()
			if strings.HasPrefix(string(out), "mount: ") {
				t.Skipf("no /proc can be mounted here: %s", out)
			}
			if want := strings.Repeat("ok\n", len(hiddenShapes)); err != nil || string(out) != want {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}

// playHiding is the init of a PID namespace whose /proc hides processes. It starts some of root, and the
// agent of an ordinary user.
func playHiding() int {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if err == nil {
		err = unix.Mount("proc", "/proc", "proc", 0, os.Getenv("STINT_TEST_OPTION"))
	}
	if err != nil {
		fmt.Println("mount:", err)
		return 1
	}
	for range 20 {
		if err := exec.Command("sleep", "1000").Start(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	agent := exec.Command("./plain")
	agent.Env = append(os.Environ(), "STINT_TEST_ROLE=hiddenagent")
	agent.Stdout, agent.Stderr = os.Stdout, os.Stderr
	agent.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := agent.Run(); err != nil {
		fmt.Println(err)
		return 1
	}
	return 0
}

// hiddenShapes are jobs with hidden processes; listed is false where not all of them can be found while
// their parents live.
var hiddenShapes = []struct {
	name   string
	args   []string
	env    []string
	count  int // of the processes that print their numbers
	listed bool
}{
	{"the command", []string{"./plain"}, []string{"DEPTH=1"}, 2, true},
	{"a child of a shell", []string{"sh", "-c", "./plain & wait"}, []string{"DEPTH=1"}, 2, true},
	{"an orphan in a session of its own", []string{"sh", "-c", "./plain & sleep 0.1"}, []string{"DEPTH=1", "SETSID=1"}, 2, true},
	{"two hidden generations", []string{"sh", "-c", "./plain & wait"}, []string{"DEPTH=2"}, 3, false},
}

// playHiddenAgent is an agent that runs each of the shapes, and prints ok or what went wrong.
func playHiddenAgent() int {
	for i, shape := range hiddenShapes {
		if err := runHidden(i+1, shape.args, shape.env, shape.count, shape.listed); err != nil {
			fmt.Printf("%s: %v\n", shape.name, err)
			continue
		}
		fmt.Println("ok")
	}
	return 0
}

func runHidden(attempt int, args, env []string, count int, listed bool) error {
	g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: attempt, AtMost: contain.LevelProcessGroup})
	if err != nil {
		return err
	}
	defer g.Close()
	out, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer out.Close()
	env = append([]string{"PATH=" + os.Getenv("PATH"), "STINT_TEST_ROLE=undumpable"}, env...)
	_, err = g.Start(Spec{Args: args, Env: env, Stdout: w, Stderr: w})
	w.Close()
	if err != nil {
		return err
	}
	var pids []int
	for lines := bufio.NewScanner(out); len(pids) < count && lines.Scan(); {
		var pid int
		if _, err := fmt.Sscan(lines.Text(), &pid); err != nil {
			return fmt.Errorf("%s", lines.Text())
		}
		pids = append(pids, pid)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if listed {
		if err := awaitMembers(ctx, g, pids); err != nil {
			return err
		}
		if err := g.Signal(syscall.SIGTERM); err != nil {
			return err
		}
	} else if err := g.Kill(); err != nil {
		return err
	}
	if err := g.Empty(ctx); err != nil {
		return fmt.Errorf("%v, of %v: %w", listMembers(g), pids, err)
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, 0); err != unix.ESRCH {
			return fmt.Errorf("process %d of %v lives on", pid, pids)
		}
	}
	return nil
}

// awaitMembers waits until all of some processes are members.
func awaitMembers(ctx context.Context, g *Group, pids []int) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		all := listMembers(g)
		if !slices.ContainsFunc(pids, func(pid int) bool {
			return !slices.ContainsFunc(all, func(m member.Member) bool { return m.PID == pid })
		}) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("members %v, want %v", all, pids)
		}
	}
}

func listMembers(g *Group) []member.Member {
	all, err := g.Members()
	if err != nil {
		return nil
	}
	return all
}

// playUndumpable is a program that /proc hides from its own user with hidepid. It prints its number and
// that of its child: a sleep, or another such program.
func playUndumpable() int {
	if os.Getenv("SETSID") != "" {
		if _, err := syscall.Setsid(); err != nil {
			fmt.Println(err)
			return 1
		}
	}
	child := exec.Command("sleep", "1000")
	if os.Getenv("DEPTH") == "2" {
		child = exec.Command("./plain")
		child.Env = append(os.Environ(), "DEPTH=1")
		child.Stdout = os.Stdout
	}
	if err := child.Start(); err != nil {
		fmt.Println(err)
		return 1
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		fmt.Println(err)
		return 1
	}
	if child.Args[0] == "sleep" {
		fmt.Println(child.Process.Pid)
	}
	fmt.Println(os.Getpid())
	_ = child.Wait() // it is ended from outside
	return 0
}
