package process

import (
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/contain"
)

func ownScore(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// mayLowerScores reports whether this process has CAP_SYS_RESOURCE.
func mayLowerScores(t *testing.T) bool {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "CapEff:\t")
	caps, err := strconv.ParseUint(strings.SplitN(rest, "\n", 2)[0], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return caps&(1<<unix.CAP_SYS_RESOURCE) != 0
}

// A job has its caller's oom_score_adj, or the one that was wanted, and the agent one below,
// until its last group is closed.
func TestOOMScore(t *testing.T) {
	caller := ownScore(t)
	may := mayLowerScores(t)
	number := func(n int) *int { return &n }
	callerNumber, err := strconv.Atoi(caller)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want *int
		job  string
		note bool
	}{
		{nil, caller, false},
		{number(callerNumber), caller, false},
		{number(min(callerNumber+300, 1000)), strconv.Itoa(min(callerNumber+300, 1000)), false},
		{number(-700), map[bool]string{true: "-700", false: caller}[may], !may},
		{number(1000), "1000", false},
	} {
		g := limited(t, Options{OOMScoreAdj: c.want})
		lowered := ownScore(t)
		if may && lowered != strconv.Itoa(contain.AgentScore(callerNumber)) {
			t.Errorf("the agent has %s, its caller %s", lowered, caller)
		}
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.Start(Spec{Args: []string{"cat", "/proc/self/oom_score_adj"}, Env: os.Environ(), Stdout: w})
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(r)
		r.Close()
		if err != nil || p.Exit().Code != 0 || strings.TrimSpace(string(out)) != c.job {
			t.Errorf("wanted %v: the job has %q, %v; want %s", c.want, out, err, c.job)
		}
		if after := ownScore(t); after != lowered {
			t.Errorf("the agent had %s and has %s", lowered, after)
		}
		answer, err := RunProgram(t.Context(), []string{"/bin/cat", "/proc/self/oom_score_adj"}, os.Environ())
		if err != nil || strings.TrimSpace(string(answer)) != caller {
			t.Errorf("a program that is asked has %q, %v; want %s", answer, err, caller)
		}
		if noted := strings.Contains(strings.Join(g.Notes(), "\n"), "oom_score_adj"); noted != c.note {
			t.Errorf("notes %q", g.Notes())
		}
		if err := g.Close(); err != nil {
			t.Error(err)
		}
		if after := ownScore(t); after != caller {
			t.Errorf("the process had %s and has %s when its group is closed", caller, after)
		}
	}
}

// What the job started with --keep-background goes on with its caller's value.
func TestOOMScoreOfWhatIsLeft(t *testing.T) {
	caller := ownScore(t)
	g, err := Contain(Options{Run: testRun(), Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Start(Spec{Args: []string{"sh", "-c", "sleep 600 & echo"}, Env: os.Environ()})
	if err != nil {
		t.Fatal(err)
	}
	p.Exit()
	members, err := g.Members()
	if err != nil || len(members) != 1 {
		t.Fatalf("left %v, %v", members, err)
	}
	defer func() {
		_ = unix.Kill(members[0].PID, unix.SIGKILL)
		_, _ = unix.Wait4(members[0].PID, nil, 0, nil) // this process adopted it
	}()
	g.LetLive()
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(members[0].PID) + "/oom_score_adj")
	if err != nil || strings.TrimSpace(string(text)) != caller {
		t.Errorf("what is left has %q, %v; want %s", text, err, caller)
	}
}
