package e2e

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// A stint run inside of a job does not take over the options of the one around it; what leads
// to the server, and what is set inside on purpose, it reads.
func TestNestedRunHasOptionsOfItsOwn(t *testing.T) {
	s := startServer(t)
	for _, c := range []struct {
		name, outer string   // options of the outer run in the environment
		script      string   // of the outer run
		want        string   // what both print
		jobs        []string // of the runs that were made, sorted
	}{
		{"script", "STINT_SCRIPT=echo wrong", "", "wrong\n", []string{"outer"}},
		{"script inside", "STINT_TIMEOUT=1h", `STINT_SCRIPT='echo wrong' $STINT run -- echo right`, "right\n", []string{"echo", "outer"}},
		{"install", "STINT_INSTALL=echo installed", `$STINT run --job inner -- echo ran`, "installed\nran\n", []string{"inner", "outer"}},
		{"retries", "STINT_RETRIES=1\nSTINT_RETRY_BACKOFF=1ms", `$STINT run --no-stdin --job inner -- sh -c 'echo inner; false'`, "inner\ninner\n", []string{"inner", "inner", "outer"}},
		{"directory", "STINT_DIR=DIR", `cd sub && $STINT run --job inner -- sh -c 'basename "$PWD"'`, "sub\n", []string{"inner", "outer"}},
		{"quiet", "STINT_QUIET=1", `$STINT run --job inner -- echo unseen >seen; cat seen >&2`, "", []string{"inner", "outer"}},
		{"job", "", `$STINT run -- true`, "", []string{"outer", "true"}},
		{"job on purpose", "", `STINT_JOB=my-name $STINT run -- true`, "", []string{"my-name", "outer"}},
		{"job on purpose, of the same name", "", `$STINT run --job outer -- true`, "", []string{"outer", "outer"}},
		{"job on purpose, two deep", "", `STINT_JOB=my-name $STINT run -- $STINT run -- true`, "", []string{"my-name", "outer", "true"}},
		{"label", "STINT_LABEL=a=b", `$STINT run --job inner -- true`, "", []string{"inner", "outer"}},
		{"environment", "STINT_ENV=A=b", `A=c $STINT run --job inner -- sh -c 'echo $A'`, "c\n", []string{"inner", "outer"}},
		{"report", "STINT_REPORT_TO=http://user:pw@127.0.0.1:1/", `env | grep -c REPORT; $STINT run --job inner -- true`, "0\n", []string{"inner", "outer"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
			before := runsOf(t, s)
			args := []string{"run", "--job", "outer"}
			if c.script != "" {
				args = append(args, "-c", c.script)
			}
			cmd := h.command(stint, args...)
			cmd.Dir = dir
			cmd.Env = append(cmd.Env, "STINT="+stint, "STINT_SERVER="+s.url)
			if c.outer != "" {
				cmd.Env = append(cmd.Env, strings.Split(strings.ReplaceAll(c.outer, "DIR=DIR", "DIR="+dir), "\n")...)
			}
			got := finish(t, cmd)
			if got.stdout != c.want || got.code > 1 {
				t.Errorf("exit code %d, printed %q, want %q; stderr %s", got.code, got.stdout, c.want, got.stderr)
			}
			after := runsOf(t, s)
			made := after[:len(after)-len(before)]
			slices.Sort(made) // the two begin within a moment
			if !slices.Equal(made, c.jobs) {
				t.Errorf("runs %v, want %v", made, c.jobs)
			}
		})
	}
}

// runsOf lists the jobs of all runs, newest first.
func runsOf(t *testing.T, s *server) []string {
	t.Helper()
	got := newHost(t).run("runs", "--server", s.url, "--limit", "100", "--json")
	if got.code != 0 {
		t.Fatalf("stint runs: %+v", got)
	}
	var jobs []string
	for _, line := range strings.Split(got.stdout, "\n") {
		if name, found := strings.CutPrefix(strings.TrimSpace(line), `"job": "`); found {
			jobs = append(jobs, strings.TrimSuffix(name, `",`))
		}
	}
	return jobs
}

// The token is never in a job's environment; one that is set inside reaches a nested run.
func TestNestedRunAndToken(t *testing.T) {
	s, h := startServer(t), newHost(t)
	made := h.run("token", "create", "--server", s.url, "--name", "test", "--scope", "agent")
	token := strings.TrimSpace(made.stdout)
	if made.code != 0 || len(token) < 20 {
		t.Fatalf("stint token create: %+v", made)
	}
	cmd := h.command(stint, "run", "--job", "outer", "-c", `env | grep -c STINT_TOKEN; STINT_TOKEN=stint_wrong $STINT run --flush-timeout 2s --job inner -- true; STINT_TOKEN="$GIVEN" $STINT run --job good -- true`)
	cmd.Env = append(cmd.Env, "STINT="+stint, "STINT_SERVER="+s.url, "STINT_TOKEN="+token, "GIVEN="+token)
	if got := finish(t, cmd); got.code != 0 || got.stdout != "0\n" || !strings.Contains(got.stderr, "token") {
		t.Errorf("exit code %d, printed %q; want 0 and a message about the wrong token: %s", got.code, got.stdout, got.stderr)
	}
	if _, known := s.find("good#1"); !known {
		t.Error("the run with the right token did not arrive")
	}
}

// What is given as an argument and opens a server is not in the listing of processes.
func TestArgumentsAreHidden(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this reads /proc")
	}
	h := newHost(t)
	for _, args := range [][]string{
		{"--report-to", "http://127.0.0.1:1/", "--token", "tok-3n-42"},
		{"--report-to", "http://127.0.0.1:1/", "--token=tok-3n-42"},
		{"--report-to", "http://user:tok-3n-42@127.0.0.1:1/job"},
		{"--report-to=http://tok-3n-42@127.0.0.1:1/job"},
		{"--server", "http://user:tok-3n-42@127.0.0.1:1"},
		{"--server=http://user:tok-3n-42@127.0.0.1:1", "--flush-timeout", "1ms"},
	} {
		got := h.run(append(append([]string{"run"}, args...), "-c", `tr '\0' ' ' </proc/$PPID/cmdline | sed 's/-c .*//'`)...)
		if got.code != 0 || !strings.Contains(got.stdout, " run ") || strings.Contains(got.stdout, "3n-42") || !strings.Contains(got.stdout, "***") {
			t.Errorf("%v: exit code %d, the listing shows %q; stderr %s", args, got.code, got.stdout, got.stderr)
		}
	}
}
