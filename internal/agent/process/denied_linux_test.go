package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
)

// A program that becomes root under the agent of an ordinary user, as sudo does, is named
// with its owner when it cannot be killed; the others are killed, and where the user was
// given a cgroup so is it.
func TestProcessesThatMayNotBeKilled(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can make a program that becomes root")
	}
	dir, err := os.MkdirTemp("/tmp", "stint-process-test") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil || fs.Flags&unix.ST_NOSUID != 0 {
		t.Skipf("programs in %s cannot become root (nosuid): %v", dir, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]os.FileMode{"plain": 0o755, "becomesroot": 0o755 | os.ModeSetuid} {
		copySelf(t, filepath.Join(dir, name), mode)
	}
	t.Run("without a cgroup", func(t *testing.T) {
		out := agentOfNobody(t, dir, contain.LevelProcessGroup, -1)
		if !strings.HasPrefix(out, "denied becomesroot 0 root; living 1; ") || !strings.Contains(out, "becomesroot (pid ") ||
			!strings.Contains(out, ") runs as root; ") || !strings.HasSuffix(out, " may not signal that\n") {
			t.Errorf("it printed %q", out)
		}
	})
	t.Run("in a cgroup that was given", func(t *testing.T) {
		parent := newLeafParent(t)
		if _, err := os.Stat(parent + "/cgroup.kill"); err != nil {
			t.Skipf("this host kills no cgroups: %v", err)
		}
		for _, file := range []string{"", "/cgroup.procs"} {
			if err := os.Chown(parent+file, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		cgroup, err := os.Open(parent)
		if err != nil {
			t.Fatal(err)
		}
		defer cgroup.Close()
		if out := agentOfNobody(t, dir, contain.LevelCgroup2, int(cgroup.Fd())); out != "killed\n" {
			t.Errorf("it printed %q", out)
		}
	})
}

func agentOfNobody(t *testing.T, dir, level string, cgroup int) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(dir, "plain"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=denied", "STINT_TEST_RUN="+testRun(), "STINT_TEST_LEVEL="+level)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if cgroup >= 0 {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, cgroup
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// playDenied is an agent whose job has one process that becomes root, until its stdin ends.
func playDenied() int {
	fail := func(err error) int {
		fmt.Println(err)
		return 1
	}
	g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: 1, AtMost: os.Getenv("STINT_TEST_LEVEL")})
	if err != nil {
		return fail(err)
	}
	in, inW, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	out, outW, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	env := []string{"PATH=" + os.Getenv("PATH"), "STINT_TEST_ROLE=becomesroot"}
	for range 3 {
		if _, err := g.Start(Spec{Args: []string{"sleep", "1000"}, Env: env}); err != nil {
			return fail(err)
		}
	}
	p, err := g.Start(Spec{Args: []string{"./becomesroot"}, Env: env, Stdin: in, Stdout: outW})
	if err != nil {
		return fail(err)
	}
	in.Close()
	outW.Close()
	if n, err := out.Read(make([]byte, 3)); n != 3 {
		return fail(fmt.Errorf("the program did not become root: %w", err))
	}
	var denied *member.DeniedError
	err = g.Signal(syscall.SIGTERM)
	if !errors.As(err, &denied) || len(denied.Processes) != 1 {
		return fail(fmt.Errorf("sent SIGTERM: %w", err))
	}
	err = g.Kill()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err == nil {
		if err := g.Empty(ctx); err != nil {
			return fail(err)
		}
		fmt.Println("killed")
		return 0
	}
	if !errors.As(err, &denied) || len(denied.Processes) != 1 || denied.Processes[0].PID != p.PID() {
		return fail(fmt.Errorf("killed: %w", err))
	}
	for { // of the others nothing is left
		ms, err := g.Members()
		if err != nil || ctx.Err() != nil {
			return fail(fmt.Errorf("members %v: %w", ms, err))
		}
		if len(ms) == 1 {
			d := denied.Processes[0]
			fmt.Printf("denied %s %d %s; living %d; %v\n", d.Name, d.UID, d.Owner, len(ms), denied)
			break
		}
	}
	ended := make(chan error)
	go func() { ended <- g.Empty(ctx) }() // goes on trying, in silence
	inW.Close()
	if err := <-ended; err != nil {
		return fail(err)
	}
	if err := g.Close(); err != nil {
		return fail(err)
	}
	return 0
}

// playBecomesRoot is a program with the right to become root, as sudo.
func playBecomesRoot() int {
	if err := syscall.Setuid(0); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("in")
	_, _ = os.Stdin.Read(make([]byte, 1)) // until its other end is closed
	return 0
}
