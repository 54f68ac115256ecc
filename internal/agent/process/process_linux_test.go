package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/procfs"
	"stint.dev/stint/internal/agent/process/watch"
)

// The test binary plays the agent that is killed, and the evil children that no shell can
// be.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "finish-attempt" {
		os.Exit(playFinish(os.Args[1:]))
	}
	if role := os.Getenv("STINT_TEST_ROLE"); role != "" {
		os.Exit(play(role))
	}
	goleak.VerifyTestMain(m)
}

var runNumber int

// testRun makes a run id that no other test has: marks are searched for on the whole host.
func testRun() string {
	runNumber++
	return fmt.Sprintf("0193c000-0000-7000-8000-%06d%06d", os.Getpid()%1_000_000, runNumber)
}

// levels are those that this host and user really have.
func levels(t *testing.T) (got []string) {
	t.Helper()
	for _, level := range []string{contain.LevelCgroup2, contain.LevelCgroup1, contain.LevelProcessGroup} {
		g, err := Contain(Options{Run: testRun(), Attempt: 1, AtMost: level})
		if err != nil {
			t.Fatal(err)
		}
		if g.Level() == level {
			got = append(got, level)
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
	}
	if len(got) == 0 || got[len(got)-1] != contain.LevelProcessGroup {
		t.Fatalf("levels %v lack %s", got, contain.LevelProcessGroup)
	}
	t.Logf("levels here for uid %d: %v", os.Getuid(), got)
	return got
}

// eachLevel runs f as a subtest per level.
func eachLevel(t *testing.T, f func(t *testing.T, g *Group)) {
	for _, level := range levels(t) {
		t.Run(level, func(t *testing.T) {
			g, err := Contain(Options{Run: testRun(), Attempt: 3, AtMost: level})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if t.Failed() {
					_ = g.Kill() // so that the next test begins clean
				}
				if err := g.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
				nothingLeft(t, g.opts)
			}()
			f(t, g)
		})
	}
}

// nothingLeft proves with a scan of /proc that no process of the attempt lives, and no
// zombie of ours is left but those that a test's own os/exec made.
func nothingLeft(t *testing.T, o Options) {
	t.Helper()
	left, err := watch.Survivors(o.Run, o.Attempt, map[int]bool{os.Getpid(): true})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range left {
		t.Errorf("left behind: %s, pid %d, state %s", m.Name, m.PID, m.State)
	}
	var scanner procfs.Scanner
	if err := scanner.Scan(); err != nil {
		t.Fatal(err)
	}
	for i := range scanner.Stats {
		if s := &scanner.Stats[i]; s.PPID == os.Getpid() && s.PGRP != syscall.Getpgrp() {
			t.Errorf("still a child of ours: %s, pid %d, state %c", s.Name(), s.PID, s.State)
		}
	}
}

func start(t *testing.T, g *Group, args ...string) *Process {
	t.Helper()
	p, err := g.Start(Spec{Args: args, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// await polls a condition with a deadline.
func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick, end := time.NewTicker(time.Millisecond), time.NewTimer(20*time.Second)
	defer tick.Stop()
	defer end.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-end.C:
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func empty(t *testing.T, g *Group) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := g.Empty(ctx); err != nil {
		members, _ := g.Members()
		t.Fatalf("not empty: %v, members %v", err, members)
	}
}

func members(t *testing.T, g *Group) []member.Member {
	t.Helper()
	ms, err := g.Members()
	if err != nil {
		t.Fatal(err)
	}
	return ms
}

func TestExit(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *Group) {
		for _, c := range []struct {
			script string
			want   Exit
		}{
			{"exit 0", Exit{}},
			{"exit 3", Exit{Code: 3}},
			{"exit 255", Exit{Code: 255}},
			{"kill -TERM $$", Exit{Code: 0, Signal: "SIGTERM", SignalNo: 15}},
			{"kill -KILL $$", Exit{Code: 0, Signal: "SIGKILL", SignalNo: 9}},
			{"kill -35 $$", Exit{Code: 0, Signal: "SIG35", SignalNo: 35}},
		} {
			e := start(t, g, "sh", "-c", c.script).Exit()
			if e.MaxRSSBytes < 100<<10 || e.MaxRSSBytes > 100<<20 {
				t.Errorf("%s: peak memory %d bytes", c.script, e.MaxRSSBytes)
			}
			e.MaxRSSBytes, e.CPUSeconds = 0, 0
			if e != c.want {
				t.Errorf("%s: got %+v, want %+v", c.script, e, c.want)
			}
		}
		if n := len(members(t, g)); n != 0 {
			t.Errorf("%d members", n)
		}
	})
}

// evil are children that try to stay. Each prints a line when it is in place.
var evil = []struct{ name, script string }{
	{"plain", `sleep 1000 & echo in; exit 0`},
	{"setsid", `setsid sh -c 'echo in; exec sleep 1000' & wait`},
	{"double fork", `(setsid sh -c '(echo in; exec sleep 1000) & exit 0' &); exit 0`},
	{"double fork without the mark", `(env -i setsid /bin/sh -c '(echo in; exec sleep 1000) & exit 0' &); exit 0`},
	{"ignores", `trap '' TERM INT HUP; (trap '' TERM; echo in; while :; do sleep 1000; done) & wait`},
	{"stops itself", `(echo in; kill -STOP $$; sleep 1000) & wait`},
	{"closes its outputs", `echo in; exec >&- 2>&-; sleep 1000 & sleep 1000`},
	{"zombies", `sh -c 'for i in 1 2 3 4 5; do sleep 0 & done; echo in; exec sleep 1000' & exit 0`},
	{"forks on and on", `f() { while :; do (setsid sleep 1000 &) ; sleep 0.01; done; }; f & echo in; f`},
}

func TestNothingLeftAfterKill(t *testing.T) {
	for _, e := range evil {
		t.Run(strings.ReplaceAll(e.name, " ", "-"), func(t *testing.T) {
			eachLevel(t, func(t *testing.T, g *Group) {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				p, err := g.Start(Spec{Args: []string{"sh", "-c", e.script}, Env: os.Environ(), Stdout: w})
				w.Close()
				if err != nil {
					t.Fatal(err)
				}
				if n, err := r.Read(make([]byte, 3)); n != 3 || err != nil {
					t.Fatalf("the child did not come up: %d bytes, %v", n, err)
				}
				await(t, "a member", func() bool { return len(members(t, g)) > 0 })
				if err := g.Kill(); err != nil {
					t.Fatal(err)
				}
				empty(t, g)
				p.Exit()
			})
		})
	}
}

func TestSignalReachesEverybodyAndWakesTheStopped(t *testing.T) {
	eachLevel(t, func(t *testing.T, g *Group) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		p, err := g.Start(Spec{Args: []string{"sh", "-c", `setsid sh -c 'kill -STOP $$; exec sleep 1000' & (setsid sleep 1000 &) ; echo in; exec sleep 1000`}, Env: os.Environ(), Stdout: w})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		await(t, "two sleepers and a stopped shell", func() bool {
			stopped, asleep := 0, 0
			ms := members(t, g)
			for _, m := range ms {
				switch {
				case m.Name == "sh" && m.State == "T":
					stopped++
				case m.Name == "sleep":
					asleep++
				}
			}
			return len(ms) == 3 && stopped == 1 && asleep == 2
		})
		if err := g.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if e := p.Exit(); e.Signal != "SIGTERM" {
			t.Errorf("ended as %+v", e)
		}
		empty(t, g)
	})
}

// As an ordinary user the same tests must hold, at the levels that this user has.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Log("this is an ordinary user already; the other tests are the proof")
		return
	}
	dir, err := os.MkdirTemp("/tmp", "stint-process-test") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	copySelf(t, dir+"/test", 0o755)
	cmd := exec.Command(dir+"/test", "-test.run=^(TestExit|TestNothingLeftAfterKill|TestSignalReachesEverybody.*|TestLimitsWithoutRights|TestAgentKilled)$", "-test.v")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("as uid 65534: %v\n%s", err, out)
	}
	if n := strings.Count(string(out), "--- PASS"); n < 10 {
		t.Fatalf("only %d passed:\n%s", n, out)
	}
}

// copySelf copies the test binary, without holding it in memory: what a child uses at most
// begins with what its parent has.
func copySelf(t *testing.T, path string, mode os.FileMode) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(to, from)
		err = errors.Join(err, to.Close(), os.Chmod(path, mode))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func play(role string) int {
	switch role {
	case "agent":
		return playAgent()
	case "inherits":
		return playInherits()
	case "forks":
		return playForks()
	case "denied":
		return playDenied()
	case "becomesroot":
		return playBecomesRoot()
	case "protected":
		return playProtected()
	case "mortal":
		return playMortal()
	case "attempts":
		return playAttempts()
	case "hiding":
		return playHiding()
	case "hiddenagent":
		return playHiddenAgent()
	case "undumpable":
		return playUndumpable()
	}
	fmt.Fprintln(os.Stderr, "unknown role", role)
	return 2
}

// playAgent starts an evil child in a group and waits to be killed.
func playAgent() int {
	attempt, _ := strconv.Atoi(os.Getenv("STINT_TEST_ATTEMPT"))
	g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: attempt, AtMost: os.Getenv("STINT_TEST_LEVEL")})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	var env []string
	for _, pair := range os.Environ() {
		if !strings.HasPrefix(pair, "STINT_TEST_") {
			env = append(env, pair)
		}
	}
	p, err := g.Start(Spec{Args: []string{"sh", "-c", os.Getenv("STINT_TEST_SCRIPT")}, Env: env, Stdout: os.Stdout, Stderr: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	p.Exit()
	select {}
}

// removeTree removes a cgroup with those below it, if nothing lives in them.
func removeTree(dir string) error {
	below, err := filepath.Glob(filepath.Join(dir, "*", "cgroup.procs"))
	if err != nil {
		return err
	}
	for _, file := range below {
		_ = removeTree(filepath.Dir(file)) // the removal of the whole shows it
	}
	return syscall.Rmdir(dir)
}
