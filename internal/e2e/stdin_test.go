package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// A pipeline through stint run carries what it carries without it.
func TestPipeline(t *testing.T) {
	h := newHost(t)
	nobody := "http://" + freeAddress(t)
	for _, c := range []struct {
		name, script, want string
		code               int
	}{
		{"compressed", `seq 20000 | $STINT run -- gzip | gzip -d | wc -c`, "108894\n", 0},
		{"counted", `seq 20000 | $STINT run -- wc -l`, "20000\n", 0},
		{"a script from a pipe", `echo 'echo ran; exit 3' | $STINT run -- sh`, "ran\n", 3},
		{"a loop that reads a list", `printf 'a\nb\nc\n' | while read -r x; do echo "$x"; $STINT run -- wc -c; done`, "a\n4\n", 0},
		{"the same with --no-stdin", `printf 'a\nb\nc\n' | while read -r x; do echo "$x"; $STINT run --no-stdin -- cat; done`, "a\nb\nc\n", 0},
		{"install steps read nothing", `echo data | $STINT run --install 'cat; echo installed' -- cat`, "installed\ndata\n", 0},
		{"the file goes on where the command stopped", `{ $STINT run -- head -c 2 >/dev/null; cat; } <file`, "cd\n", 0},
		{"closed", `$STINT run -- cat <&-`, "", 0},
		{"a flag wins over the environment", `export STINT_STDIN=1; echo data | $STINT run --no-stdin -- cat`, "", 0},
		{"and the other way round", `export STINT_NO_STDIN=1; echo data | $STINT run -i -- cat`, "data\n", 0},
		{"both flags", `echo data | $STINT run -i --no-stdin -- cat`, "", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "file"), []byte("abcd\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := h.command("sh", "-c", c.script)
			cmd.Dir = dir
			cmd.Env = append(cmd.Env, "STINT="+stint, "STINT_SERVER="+nobody, "STINT_FLUSH_TIMEOUT=1ms")
			got := finish(t, cmd)
			if got.stdout != c.want || got.code != c.code {
				t.Errorf("printed %q, exit code %d; want %q, %d; stderr %s", got.stdout, got.code, c.want, c.code, got.stderr)
			}
		})
	}
}

// Where stdin is a list that a loop reads, or the script that a shell reads, a command takes
// of it what it would take without stint run; with --no-stdin or </dev/null it takes nothing.
func TestStdinOfLoopsAndScripts(t *testing.T) {
	h := newHost(t)
	const (
		loop   = `while read -r x; do echo "$x"; $RUN cat; done`
		script = "echo first\n$RUN cat\necho second\n"
	)
	for _, shell := range []string{"sh", "bash"} {
		if _, err := exec.LookPath(shell); err != nil {
			t.Logf("%s is not here", shell)
			continue
		}
		for _, c := range []struct {
			name, script string // $SHELL is the shell
			all          string // what is printed when the command reads nothing
			bare         string // what bash prints when it reads stdin
		}{
			{"a loop over a file", loop + " <list", "a\nb\nc\n", "a\nb\nc\n"},
			{"a loop over a pipe", "cat list | " + loop, "a\nb\nc\n", "a\nb\nc\n"},
			{"a loop that counts its rounds", `n=0; while read -r x; do n=$((n+1)); $RUN cat >/dev/null; done <list; echo $n`, "3\n", "1\n"},
			{"a script that the shell reads from a file, as under at", "$SHELL <script", "first\nsecond\n", "first\necho second\n"},
			{"a script that the shell reads from a pipe, as of ssh and curl", "cat script | $SHELL", "first\nsecond\n", "first\necho second\n"},
		} {
			t.Run(shell+", "+c.name, func(t *testing.T) {
				dir := t.TempDir()
				for name, text := range map[string]string{"list": "a\nb\nc\n", "script": script} {
					if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				printed := func(run, script string) string {
					cmd := h.command(shell, "-c", script)
					cmd.Dir = dir
					cmd.Env = append(cmd.Env, "RUN="+run, "SHELL="+shell, "STINT_SERVER=http://"+freeAddress(t), "STINT_FLUSH_TIMEOUT=1ms")
					got := finish(t, cmd)
					if got.code != 0 {
						t.Errorf("RUN=%q: exit code %d, %s", run, got.code, got.stderr)
					}
					return got.stdout
				}
				bare := printed("", c.script)
				if shell == "bash" && bare != c.bare {
					t.Errorf("bash prints %q, want %q", bare, c.bare)
				}
				if got := printed(stint+" run --", c.script); got != bare {
					t.Errorf("with stint run: %q, without: %q", got, bare)
				}
				if got := printed(stint+" run --no-stdin --", c.script); got != c.all {
					t.Errorf("with --no-stdin: %q, want %q", got, c.all)
				}
				if err := os.WriteFile(filepath.Join(dir, "script"), []byte(strings.ReplaceAll(script, "cat", "cat </dev/null")), 0o600); err != nil {
					t.Fatal(err)
				}
				if got := printed(stint+" run --", strings.ReplaceAll(c.script, "$RUN cat", "$RUN cat </dev/null")); got != c.all {
					t.Errorf("with </dev/null: %q, want %q", got, c.all)
				}
			})
		}
	}
}

// A pipe is read by the first attempt only, and that is reported; a file by each.
func TestRetriesAndStdin(t *testing.T) {
	s, h := startServer(t), newHost(t)
	const script = `n=$(wc -l); echo "attempt $STINT_ATTEMPT: $n lines"; [ $STINT_ATTEMPT = 2 ]`
	for _, c := range []struct {
		name, before, flags, after string
		want                       string
		code                       int
		says                       string // what stderr names; empty for nothing of stdin
	}{
		{"pipe", "seq 5 |", "", "", "attempt 1: 5 lines\n", 1, "--no-stdin"},
		{"pipe and waiting", "seq 5 |", "--retries 0 --retry-wait 5m", "", "attempt 1: 5 lines\n", 1, "--no-stdin"},
		{"pipe that was asked for", "seq 5 |", "-i", "", "", 2, "--retries"},
		{"pipe that is empty", ": |", "", "", "attempt 1: 0 lines\nattempt 2: 0 lines\n", 0, ""},
		{"empty pipe that was asked for", ": |", "-i", "", "attempt 1: 0 lines\nattempt 2: 0 lines\n", 0, ""},
		{"pipe that is left alone", "seq 5 |", "--no-stdin", "", "attempt 1: 0 lines\nattempt 2: 0 lines\n", 0, ""},
		{"pipe without retries", "seq 5 |", "--retries 0", "", "attempt 1: 5 lines\n", 1, ""},
		{"file", "", "", "<in", "attempt 1: 5 lines\nattempt 2: 5 lines\n", 0, ""},
		{"file that was asked for", "", "-i", "<in", "attempt 1: 5 lines\nattempt 2: 5 lines\n", 0, ""},
		{"/dev/null", "", "", "</dev/null", "attempt 1: 0 lines\nattempt 2: 0 lines\n", 0, ""},
		{"closed", "", "", "<&-", "attempt 1: 0 lines\nattempt 2: 0 lines\n", 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "in"), []byte("1\n2\n3\n4\n5\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			name := strings.ReplaceAll(strings.Trim(c.name, "/"), " ", "-")
			name = strings.ReplaceAll(name, "/", "-")
			cmd := h.command("sh", "-c", c.before+" $STINT run --job "+name+" --retries 1 --retry-backoff 1ms "+c.flags+` -c "$SCRIPT" `+c.after)
			cmd.Dir = dir
			cmd.Env = append(cmd.Env, "STINT="+stint, "STINT_SERVER="+s.url, "SCRIPT="+script)
			got := finish(t, cmd)
			if got.stdout != c.want || got.code != c.code {
				t.Errorf("printed %q, exit code %d; want %q, %d; stderr %s", got.stdout, got.code, c.want, c.code, got.stderr)
			}
			if strings.Contains(got.stderr, "stdin") != (c.says != "") || !strings.Contains(got.stderr, c.says) {
				t.Errorf("stderr says %q; want it to name %q", got.stderr, c.says)
			}
			if c.code == 2 {
				if _, known := s.find(name + "#1"); known {
					t.Error("a run was recorded although nothing was run")
				}
				return
			}
			noted := strings.Contains(strings.Join(s.ended(name+"#1").Notes, "\n"), "--no-stdin")
			if noted != (c.says != "") {
				t.Errorf("a note of the run names --no-stdin: %v", noted)
			}
		})
	}
}
