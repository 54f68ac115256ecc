package e2e

import (
	"bufio"
	"io"
	"strings"
	"syscall"
	"testing"
)

// stint job delete asks at a terminal, and only there.
func TestDeleteJobAsks(t *testing.T) {
	s, h := startServer(t), newHost(t)
	begin := func(name string) {
		t.Helper()
		if got := h.run("run", "--server", s.url, "--quiet", "--job", name, "true"); got.code != 0 {
			t.Fatalf("stint run: %+v", got)
		}
	}
	left := func(name string) bool {
		t.Helper()
		return h.run("job", "show", "--server", s.url, name).code == 0
	}
	for _, c := range []struct {
		name, answer string
		args         []string
		deleted      bool
	}{
		{"no", "n\n", nil, false},
		{"nothing", "\n", nil, false},
		{"end", "\x04", nil, false},
		{"long", strings.Repeat("y", 300) + "\n", nil, false},
		{"yes", "yes\n", nil, true},
		{"letter", "Y\n", nil, true},
		{"option", "", []string{"--yes"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			begin(c.name)
			screen, tty := terminal(t)
			defer screen.Close()
			cmd := h.command(stint, append([]string{"job", "delete", "--server", s.url, c.name}, c.args...)...)
			cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
			cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			tty.Close()
			seen := bufio.NewReader(screen)
			if c.args == nil {
				question, err := seen.ReadString(']')
				if err != nil || !strings.Contains(question, "Delete the job "+c.name+" for good, with 1 run") {
					t.Fatalf("asked %q, %v", question, err)
				}
				if _, err := io.WriteString(screen, c.answer); err != nil {
					t.Fatal(err)
				}
			}
			rest, _ := io.ReadAll(seen) // it ends with an error: the terminal closes
			err := cmd.Wait()
			if (err == nil) != c.deleted || left(c.name) == c.deleted {
				t.Errorf("ended with %v, left %v: %q", err, left(c.name), rest)
			}
		})
	}
	begin("script")
	if got := h.run("job", "delete", "--server", s.url, "script"); got.code != 0 || left("script") || strings.Contains(got.stderr, "?") {
		t.Errorf("without a terminal: %+v", got)
	}
}
