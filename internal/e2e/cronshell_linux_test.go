package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/job"
)

// cronShell makes stint-sh, as a link to one of the programs.
func cronShell(t *testing.T, program string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "stint-sh-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "stint-sh")
	if err := os.Symlink(program, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// asCron runs a shell as cron does: stdout and stderr are one pipe. It returns how the shell ended.
func asCron(t *testing.T, h *host, shell, stdin string, env []string, args ...string) (printed string, end syscall.WaitStatus) {
	t.Helper()
	cmd := h.command(shell, args...)
	cmd.Env = append([]string{"HOME=/", "PATH=/usr/bin:/bin", "SHELL=" + shell, "STINT_CONFIG=/dev/null"}, env...)
	cmd.Dir = "/"
	cmd.Stdin = strings.NewReader(stdin)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	var out bytes.Buffer
	if _, err := out.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // the state says how it ended
	end, _ = cmd.ProcessState.Sys().(syscall.WaitStatus)
	return out.String(), end
}

// What cron sees of a line is the same under /bin/sh and under stint-sh, whatever is wrong with Stint.
func TestCronShellIsTransparent(t *testing.T) {
	t.Parallel()
	notADirectory := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(notADirectory, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	files := writeFiles(t, "key", "sevrer = x\nlabel = foo\nnothing\n", "limit", "memory-limit = plenty\n")
	jobs := []struct{ name, stdin, text string }{
		{"output in order", "", "i=0; while [ $i -lt 50 ]; do echo out $i; echo err $i >&2; i=$((i+1)); done"},
		{"stdin", "line 1\nline 2", "cat; echo; exit 3"},
		{"no stdin", "", "cat; wc -c"},
		{"shell", "", `echo "$SHELL $0 $#"; env | grep -c STINT_REAL_SHELL`},
		{"killed", "", "echo before; kill -9 $$"},
		{"segmentation fault", "", "kill -SEGV $$"},
		{"terminated", "", "kill -TERM $$"},
		{"not found", "", "/nowhere/at/all"},
		{"syntax error", "", "if"},
		{"in the background", "", "sleep 0 >/dev/null 2>&1 & exit 4"},
		{"a carriage return", "", "exit 5\r"},
		{"empty", "", ""},
	}
	states := map[string][]string{
		"no server":                {"STINT_SERVER=http://127.0.0.1:1"},
		"a server without a name":  {"STINT_SERVER=::nonsense::"},
		"a wrong option":           {"STINT_TIMEOUT=soon"},
		"a wrong name":             {"STINT_JOB=a/b"},
		"a script in the options":  {"STINT_SCRIPT=echo wrong"},
		"a directory that is none": {"STINT_STATE=" + notADirectory},
		"a directory in it":        {"STINT_STATE=" + notADirectory + "/state"},
		"a limit of no job":        {"STINT_DIR=/nowhere/at/all"},
		"a mistake in a file":      {"STINT_CONFIG=" + filepath.Join(files, "key"), "STINT_SERVER=http://127.0.0.1:1"},
		"a wrong limit in a file":  {"STINT_CONFIG=" + filepath.Join(files, "limit")},
		"a file that is none":      {"STINT_CONFIG=/dev/zero", "STINT_SERVER=http://127.0.0.1:1"},
	}
	for state, env := range states {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			h := newHost(t)
			if !strings.HasPrefix(env[0], "STINT_STATE=") {
				env = append(env, "STINT_STATE="+h.state)
			}
			shell := cronShell(t, stintAgent)
			for _, j := range jobs {
				want, wantEnd := asCron(t, h, "/bin/sh", j.stdin, nil, "-c", j.text)
				got, end := asCron(t, h, shell, j.stdin, env, "-c", j.text)
				if got != want || end != wantEnd {
					t.Errorf("%s: %.300q and %#x, want %.300q and %#x", j.name, got, end, want, wantEnd)
				}
			}
		})
	}
}

// A disk without room for the journal keeps no job from running.
func TestCronShellOnAFullDisk(t *testing.T) {
	t.Parallel()
	if why := cannotUnshare(); why != "" {
		if os.Getenv("CI") != "" && os.Getuid() == 0 { // root may do it there
			t.Fatal(why)
		}
		t.Skip(why)
	}
	h := newHost(t)
	const full = `mount --make-rprivate / && mount -t tmpfs -o size=64k,mode=700 none "$STINT_STATE" || exit 99
cat /dev/zero >"$STINT_STATE/others" 2>/dev/null
exec "$0" "$@"`
	env := []string{"STINT_STATE=" + h.state, "STINT_SERVER=http://127.0.0.1:1"}
	got, end := asCron(t, h, "/usr/bin/unshare", "in", env, "-m", "sh", "-c", full, cronShell(t, stint), "-c", "cat; exit 6")
	if got != "in" || end.ExitStatus() != 6 {
		t.Errorf("%q, exit code %d", got, end.ExitStatus())
	}
}

// The run of a line is recorded with its output and memory; what is no job of cron is not.
func TestCronShellRecordsARun(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	h := newHost(t)
	shell := cronShell(t, stint)
	env := []string{"STINT_STATE=" + h.state, "STINT_SERVER=" + s.url, "STINT_REAL_SHELL=/bin/bash"}
	text := `cd / && nice /bin/bash -c 'echo "$SHELL"; echo oops >&2; exit 9'`
	if got, end := asCron(t, h, shell, "", env, "-c", text); got != "/bin/bash\noops\n" || end.ExitStatus() != 9 {
		t.Errorf("%q, exit code %d", got, end.ExitStatus())
	}
	r := s.ended("bash#1")
	wantEnd(t, r, job.Failed, job.ExitCode, 9)
	if log := s.log(r.ID, ""); string(log) != "/bin/bash\noops\n" {
		t.Errorf("the log is %q", log)
	}
	if r.Usage.PeakMemoryBytes == 0 {
		t.Errorf("usage %+v", r.Usage)
	}
	if _, end := asCron(t, h, shell, "", append(env, "STINT_CRON_JOB=cron-2", "STINT_JOB=cron-1"), "-c", "true"); end.ExitStatus() != 0 {
		t.Error("exit code", end.ExitStatus())
	}
	wantEnd(t, s.ended("cron-2#1"), job.Succeeded, job.ExitCode, 0)
	if _, end := asCron(t, h, shell, "", append(env, "STINT_CRON_JOB=cron-2"), "-c", "STINT_JOB=named STINT_LABEL=a=b true"); end.ExitStatus() != 0 {
		t.Error("exit code", end.ExitStatus())
	}
	if r := s.ended("named#1"); r.Labels["a"] != "b" {
		t.Errorf("labels %v", r.Labels)
	}
	for _, args := range [][]string{{"-c", "STINT_SKIP=1 true"}, {"-c", "echo $0", "other"}, {"-e", "-c", "true"}, {"-c", stint + " version >/dev/null"}} {
		if _, end := asCron(t, h, shell, "", env, args...); end != 0 {
			t.Errorf("%q: %#x", args, end)
		}
	}
	for _, name := range []string{"true#1", "echo#1", "stint#1"} {
		if r, known := s.find(name); known {
			t.Errorf("it is a run: %+v", r)
		}
	}
	if out, err := exec.Command(shell, "/nowhere").CombinedOutput(); err == nil || !strings.Contains(string(out), "/nowhere") {
		t.Errorf("a script that is not there: %q, %v", out, err)
	}
}

// The times of adopted lines become expectations, of jobs that have not run yet too.
func TestCronDue(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	h := newHost(t)
	file := filepath.Join(t.TempDir(), "crontab")
	if err := os.WriteFile(file, []byte("SHELL=/usr/bin/stint-sh\n@daily backup\n0 3 * jan-mar mon report\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := h.run("cron", "due", "--zone", "Europe/Berlin", "--server", s.url, file); got.code != 0 || strings.Count(got.stdout, "Europe/Berlin  new") != 2 {
		t.Errorf("%+v", got)
	}
	if got := string(s.get("/api/v1/jobs/backup/due")); !strings.Contains(got, `"cron":"@daily"`) || !strings.Contains(got, `"next_due_at"`) {
		t.Errorf("the expectation is %s", got)
	}
	if got := h.run("cron", "due", "--zone", "Nowhere/At", "--server", s.url, file); got.code != 2 || !strings.Contains(got.stderr, "Nowhere/At") {
		t.Errorf("%+v", got)
	}
}

// At a terminal a person sees what changes, and only their yes changes it.
func TestAdoptAsksAtATerminal(t *testing.T) {
	t.Parallel()
	h := newHost(t)
	shell := cronShell(t, stint)
	const text = "0 3 * * * backup\n"
	file := filepath.Join(filepath.Dir(shell), "crontab")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ answer, want string }{
		{"\n", text}, {"n\n", text}, {"y\n", "SHELL=" + shell + "\n" + text},
	} {
		screen, tty := terminal(t)
		defer screen.Close()
		cmd := h.command(stint, "cron", "adopt", "--shell", shell, file)
		inTerminal(cmd, tty)
		seen := watchScreen(screen)
		if _, err := screen.WriteString(c.answer); err != nil { // it waits in the terminal
			t.Fatal(err)
		}
		if err := cmd.Run(); err != nil {
			t.Errorf("%q: %v", c.answer, err)
		}
		tty.Close()
		<-seen.done
		if shown := seen.all(); !strings.Contains(shown, "+SHELL="+shell) || !strings.Contains(shown, "Change "+file+"? [y/N]") {
			t.Errorf("%q: the terminal shows %q", c.answer, shown)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != c.want {
			t.Errorf("%q: the crontab is %q, %v; want %q", c.answer, got, err, c.want)
		}
	}
}
