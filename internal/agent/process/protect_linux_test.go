package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/internal/agent/process/contain"
)

func TestHideVariables(t *testing.T) {
	for in, want := range map[string]string{
		"":                                 "",
		"A=1\x00TOKEN=secret\x00B=2\x00":   "A=1\x00TOKEN=******\x00B=2\x00",
		"TOKEN=secret":                     "TOKEN=******",
		"TOKEN=\x00TOKENS=x\x00MY_TOKEN=y": "TOKEN=\x00TOKENS=x\x00MY_TOKEN=y",
		"TOKEN=a\x00TOKEN=b\x00OTHER=c=d":  "TOKEN=*\x00TOKEN=*\x00OTHER=***",
		"noequals\x00\x00TOKEN":            "noequals\x00\x00TOKEN",
	} {
		block := []byte(in)
		hideVariables(block, []string{"TOKEN", "OTHER"})
		if string(block) != want {
			t.Errorf("%q: %q", in, block)
		}
	}
}

func FuzzEnvironmentPlace(f *testing.F) {
	if stat, err := os.ReadFile("/proc/self/stat"); err == nil {
		f.Add(stat)
	}
	f.Add([]byte("1 (a) b) S"))
	f.Fuzz(func(t *testing.T, stat []byte) {
		if start, end, ok := environmentPlace(stat); ok && (start == 0 || end <= start) {
			t.Errorf("from %d to %d", start, end)
		}
	})
}

// A job of the same user reads neither the environment nor the memory of its agent, and does
// not trace it; it may trace itself, and its oom_score_adj is what was asked for.
func TestProtect(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs a user of its own for the agent")
	}
	dir, err := os.MkdirTemp("/tmp", "stint-process-test") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(dir, "agent")
	copySelf(t, program, 0o755)
	for _, uid := range []uint32{0, 65534} {
		cmd := exec.Command(program)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "STINT_TEST_ROLE=protected", "STINT_TEST_RUN="+testRun(), "TOKEN=secret", "OTHER=open")
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("as uid %d: %v: %s", uid, err, out)
		}
		got := string(out)
		if uid == 0 { // from root only the variable is hidden
			if !strings.Contains(got, "TOKEN=******\n") || !strings.Contains(got, "OTHER=open\n") {
				t.Errorf("as root the job reads %q", got)
			}
			continue
		}
		for _, want := range []string{"environ closed\n", "mem closed\n", "fd closed\n", "own environ: TOKEN=secret\n", "score 300\n"} {
			if !strings.Contains(got, want) {
				t.Errorf("as uid %d the job says %q, not %q", uid, got, want)
			}
		}
	}
}

// playProtected is an agent whose job looks at it.
func playProtected() int {
	if Protect() != nil || HideVariables("TOKEN") != nil {
		return 1
	}
	score := 300
	g, err := Contain(Options{Run: os.Getenv("STINT_TEST_RUN"), Attempt: 1, AtMost: contain.LevelProcessGroup, OOMScoreAdj: &score})
	if err != nil {
		return 1
	}
	defer g.Close()
	p, err := g.Start(Spec{Env: os.Environ(), Stdout: os.Stdout, Stderr: os.Stderr, Args: []string{"sh", "-c", `
		tr '\0' '\n' </proc/$PPID/environ 2>/dev/null || echo environ closed
		head -c 1 /proc/$PPID/mem 2>&1 | grep -q 'Permission denied' && echo mem closed
		ls /proc/$PPID/fd >/dev/null 2>&1 || echo fd closed
		echo "own environ: $(cat /proc/self/environ | tr "\0" "\n" | grep ^TOKEN=)"
		echo "score $(cat /proc/self/oom_score_adj)"`}})
	if err != nil {
		return 1
	}
	p.Exit()
	return 0
}
