package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// atTerminal runs a program on a terminal to its end, and returns its exit code and what a person saw.
func (h *host) atTerminal(program string, args ...string) (code int, seen string) {
	h.t.Helper()
	screen, tty := terminal(h.t)
	defer screen.Close()
	cmd := h.command(program, args...)
	inTerminal(cmd, tty)
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	tty.Close()
	shown := watchScreen(screen)
	_ = cmd.Wait() // the exit code says it
	<-shown.done
	return shellCode(cmd.ProcessState), strings.ReplaceAll(shown.all(), "\r\n", "\n")
}

// On a terminal both programs say which run they make, its number, and how it ended.
func TestRunAnnouncesItself(t *testing.T) {
	s, h := startServer(t), newHost(t)
	const name = `run \w+ (\w{8}-\w{4})`
	begin := `stint: ` + name + ` ` + regexp.QuoteMeta(s.url) + `/runs/\w{8}-\w{4}` + "\n"
	for _, c := range []struct {
		program string
		args    []string
		code    int
		job     string
		shows   string
	}{
		{stint, []string{"--", "/bin/sh", "-c", "echo out; exit 3"}, 3, "sh", begin + `(?s:.*)stint: ` + name + ` is sh#1` + "\n" + `(?s:.*)stint: ` + name + ` failed after [0-9.]+ m?s: Exited with code 3\.` + "\n"},
		{stintAgent, []string{"--", "/bin/sh", "-c", "echo out"}, 0, "sh", begin + `(?s:.*)stint: ` + name + ` is sh#2` + "\n" + `(?s:.*)stint: ` + name + ` succeeded after [0-9.]+ m?s` + "\n"},
		{stint, []string{"--timeout", "100ms", "--", "sleep", "60"}, 124, "sleep", begin + `stint: ` + name + ` is sleep#1` + "\n" + `stint: ` + name + ` timed out after [0-9.]+ m?s: Ran into its time limit of 100 ms and was stopped\.` + "\n"},
		{stint, []string{"--quiet", "--", "sh", "-c", "echo out; exit 3"}, 3, "sh", ""},
		{stint, []string{"-t", "--", "sh", "-c", "echo out; exit 3"}, 3, "sh", "out\n"},
	} {
		code, seen := h.atTerminal(c.program, append([]string{"run", "--server", s.url}, c.args...)...)
		if code != c.code || !regexp.MustCompile(`^`+c.shows+`$`).MatchString(seen) {
			t.Errorf("%s %q: exit code %d and\n%s\nwant %d and %s", filepath.Base(c.program), c.args, code, seen, c.code, c.shows)
		}
		if id := regexp.MustCompile(name).FindStringSubmatch(seen); id != nil {
			if r, known := s.find(id[1]); !known || r.Job != c.job {
				t.Errorf("%s names no run of %s: %+v", id[1], c.job, r)
			}
		}
	}
	away := "http://" + freeAddress(t)
	_, seen := h.atTerminal(stint, "run", "--server", away, "--flush-timeout", "0", "--", "true")
	if want := regexp.MustCompile(`^stint: ` + name + ` ` + away + `/runs/\S+` + "\n" + `stint: ` + name + ` succeeded after [0-9.]+ m?s` + "\nstint: the journal of this run waits "); !want.MatchString(seen) {
		t.Errorf("without a server:\n%s", seen)
	}
	if got := h.run("run", "--server", s.url, "--", "sh", "-c", "echo out"); got.stdout != "out\n" || got.stderr != "" {
		t.Errorf("without a terminal: %+v", got)
	}
}

// The file of --print-run is there when the first step runs, and is written once. One that cannot be
// written keeps no job from running.
func TestPrintRun(t *testing.T) {
	s, h := startServer(t), newHost(t)
	file := filepath.Join(t.TempDir(), "run.json")
	got := h.run("run", "--server", s.url, "--job", "printed", "--print-run", file, "--retries", "1", "--retry-backoff", "0",
		"--install", "cat "+file+"; rm -f "+file, "--", "sh", "-c", "exit 3")
	r := s.ended("printed#1")
	want := fmt.Sprintf(`{"run":"%s","job":"printed","server":"%s"}`+"\n", r.ID, s.url)
	if got.code != 3 || got.stdout != want {
		t.Errorf("the install step printed %q, want %q: %+v", got.stdout, want, got)
	}
	if _, err := os.Stat(file); r.Attempt != 2 || err == nil {
		t.Errorf("attempt %d wrote it again: %v", r.Attempt, err)
	}
	got = h.run("run", "--server", s.url, "--job", "unprinted", "--print-run", filepath.Join(file, "none"), "--", "echo", "out")
	if got.code != 0 || got.stdout != "out\n" || !strings.Contains(got.stderr, "--print-run: ") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("a file that cannot be written: %+v", got)
	}
	wantEnd(t, s.ended("unprinted#1"), job.Succeeded, job.ExitCode, 0)
}

// Runs are reported under the name of --host, also those inside of the job, and those that an agent of the
// same host delivers later.
func TestReportedHost(t *testing.T) {
	s, h := startServer(t), newHost(t)
	outer := h.run("run", "--server", s.url, "--job", "outer", "--host", "rack 1/web", "--", stint, "run", "--job", "inner", "--", "printenv", "STINT_HOST")
	if outer.code != 0 || outer.stdout != "rack 1/web\n" {
		t.Fatalf("%+v", outer)
	}
	late := h.command(stint, "run", "--server", "http://"+freeAddress(t), "--flush-timeout", "0", "--job", "late", "--", "true")
	late.Env = append(late.Env, "STINT_HOST=web2")
	if got := finish(t, late); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	if got := h.run("flush", "--server", s.url, "--any"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	for ref, want := range map[string]string{"outer#1": "rack 1/web", "inner#1": "rack 1/web", "late#1": "web2"} {
		if r := s.ended(ref); r.Host != want {
			t.Errorf("%s is reported under the host %q, want %q", ref, r.Host, want)
		}
	}
}
