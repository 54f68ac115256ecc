package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The value of a variable whose name looks secret leaves no trace anywhere, and the token
// is not in the job, in the listing of processes or in what they print.
func TestSecretsLeaveNoTrace(t *testing.T) {
	const password = "hunter22/horse"
	s, h := startServer(t), newHost(t)
	made := h.run("token", "create", "--server", s.url, "--name", "test", "--scope", "agent")
	token := strings.TrimSpace(made.stdout)
	if made.code != 0 || len(token) < 20 {
		t.Fatalf("stint token create: exit %d, %q, %s", made.code, made.stdout, made.stderr)
	}
	script := `printf 'hunter'; sleep 0.1; printf '22/horse|'; printf "$DB_PASSWORD" | base64; echo "$DB_PASSWORD" >&2
		tr '\0' ' ' </proc/$PPID/cmdline | grep -c "$FIRST"'` + token[10:] + `'
		env | grep -c STINT_TOKEN; echo "$PLAIN"`
	args := []string{
		"run", "--job", "secrets", "--token", token, "--env", "DB_PASSWORD=" + password, "--env", "PLAIN=to be seen", "--env", "FIRST=" + token[:10],
		"--label", "with=" + password, "--", "sh", "-c", script, password,
	}
	r := h.run(append([]string{"run", "--server", s.url}, args[1:]...)...)
	if want := "[masked]|[masked]=\n0\n0\nto be seen\n"; r.code != 0 || r.stdout != want {
		t.Errorf("exit %d, stdout %q, want %q", r.code, r.stdout, want)
	}
	if r.stderr != "[masked]\n" {
		t.Errorf("stderr %q", r.stderr)
	}
	s.ended("secrets#1")
	clean(t, "API", s.get("/api/v1/runs"), password, token)
	clean(t, "log", s.log("secrets#1", ""), password, token)
	s.stop()
	cleanBelow(t, s.data, password, token)

	// Without a server it waits in the spool.
	away := h.run(append([]string{"run", "--server", "http://" + freeAddress(t)}, args[1:]...)...)
	if away.code != 0 {
		t.Errorf("exit %d: %s", away.code, away.stderr)
	}
	clean(t, "stderr", []byte(away.stderr), password, token)
	cleanBelow(t, h.state, password, token)
}

func clean(t *testing.T, what string, b []byte, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(string(b), secret) {
			t.Errorf("%s holds %q", what, secret)
		}
	}
}

func cleanBelow(t *testing.T, dir string, secrets ...string) {
	t.Helper()
	files := 0
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		files++
		b, err := os.ReadFile(p)
		clean(t, p, b, secrets...)
		return err
	})
	if err != nil || files == 0 {
		t.Errorf("%d files below %s: %v", files, dir, err)
	}
}

func TestRedactWantsNames(t *testing.T) {
	h := newHost(t)
	for _, args := range [][]string{{"--redact", "A=b"}, {"--redact", "*"}, {"--no-redact", "two words"}, {"--redact", ""}} {
		r := h.run(append(append([]string{"run"}, args...), "--", "true")...)
		if r.code != 2 || !strings.Contains(r.stderr, "needs the name of a variable") {
			t.Errorf("%q: exit %d, %s", args, r.code, r.stderr)
		}
	}
}

// A job of the same user cannot read the token out of its agent; what the job does with its
// own files in /proc is as without stint.
func TestTokenIsOutOfReachOfTheJob(t *testing.T) {
	other, program := asOther(t)
	h := newHost(t)
	const token = "stint_NeverInTheHandsOfTheJob"
	script := `
		cat /proc/$PPID/environ >/dev/null 2>&1 || echo environ closed
		head -c 1 /proc/$PPID/mem >/dev/null 2>&1 || echo mem closed
		[ "$(stat -c %u /proc/$PPID/status)" = 0 ] && echo agent of root
		for p in /proc/[0-9]*; do tr '\0' '\n' <$p/environ; tr '\0' '\n' <$p/cmdline; done 2>/dev/null | grep -c "^STINT_TOKEN=\|NeverIn[T]heHands"
		[ "$(stat -c %u /proc/self/status)" = "$(id -u)" ] && echo own files; [ -r /proc/self/environ ] && echo readable`
	words := append(append([]string{}, other...), "STINT_TOKEN="+token, program, "run", "--flush-timeout", "0s", "--server", "http://127.0.0.1:9", "--", "sh", "-c", script)
	cmd := h.command(words[0], words[1:]...)
	got := finish(t, cmd)
	if want := "environ closed\nmem closed\nagent of root\n0\nown files\nreadable\n"; got.stdout != want {
		t.Errorf("code %d, stdout %q, stderr %q", got.code, got.stdout, got.stderr)
	}
}
