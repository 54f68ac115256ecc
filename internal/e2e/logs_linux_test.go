package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
)

// The server is killed and comes back while the reader of a log pauses: every byte arrives
// once, as text and as JSON, as when nothing happened.
func TestLogsGoOnAfterARestartOfTheServer(t *testing.T) {
	s, h := startServer(t), newHost(t)
	const last, wide = 100_000, 200 // far more than all buffers between the two hold
	if got := h.run("run", "--quiet", "--server", s.url, "--job", "big", "--", "seq", "-f", fmt.Sprintf("%%0%d.0f", wide), fmt.Sprint(last)); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	s.ended("big#1")
	for _, args := range [][]string{{}, {"--json"}, {"--json", "--stream", "stdout"}} {
		cmd := h.command(stint, append([]string{"logs", "--server", s.url, "big#1"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 100_000)
		if _, err := io.ReadFull(out, first); err != nil {
			t.Fatal(err)
		}
		s.kill()
		s.start()
		rest, err := io.ReadAll(out)
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %v: %s", args, err, stderr.String())
		}
		lines := bytes.Split(bytes.TrimSuffix(append(first, rest...), []byte("\n")), []byte("\n"))
		if len(lines) != last {
			t.Fatalf("%v: %d lines, want %d", args, len(lines), last)
		}
		for i, line := range lines {
			text := string(line)
			if len(args) > 0 {
				var l struct{ Text string }
				if err := json.Unmarshal(line, &l); err != nil {
					t.Fatalf("%v: line %d is %.100q: %v", args, i+1, line, err)
				}
				text = l.Text
			}
			if text != fmt.Sprintf("%0*d", wide, i+1) {
				t.Fatalf("%v: line %d is %.100q", args, i+1, text)
			}
		}
	}
}

// On a terminal only the colours of a log pass, unless --raw is given; anywhere else it is
// the same byte for byte.
func TestLogsOnATerminal(t *testing.T) {
	s, h := startServer(t), newHost(t)
	const printed = `\033[31mred\033[0m \033]52;c;aGk=\007clip\033[2J \033]0;title\033\\t \302\233 8 h\303\251 \033[?1049hx\n`
	bare := "\x1b[31mred\x1b[0m \x1b]52;c;aGk=\aclip\x1b[2J \x1b]0;title\x1b\\t \u009b 8 hé \x1b[?1049hx\n"
	if got := h.run("run", "--quiet", "--server", s.url, "--job", "loud", "--", "printf", printed); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	s.ended("loud#1")
	if got := h.run("logs", "--server", s.url, "loud#1"); got.stdout != bare {
		t.Errorf("to a pipe: %q, want %q", got.stdout, bare)
	}
	const shown = "\x1b[31mred\x1b[0m clip t é x\r\n\x1b[0m"
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, shown},
		{[]string{"-f"}, shown},
		{[]string{"--tail", "1"}, shown},
		{[]string{"--grep", "red"}, shown},
		{[]string{"--raw"}, strings.ReplaceAll(bare, "\n", "\r\n")},
		{[]string{"--raw", "-f"}, strings.ReplaceAll(bare, "\n", "\r\n")},
	} {
		screen, tty := terminal(t)
		cmd := h.command(stint, append([]string{"logs", "--server", s.url, "loud#1"}, tt.args...)...)
		cmd.Stdout = tty
		cmd.Env = append(cmd.Env, "TERM=dumb") // whatever it says it can
		if err := cmd.Run(); err != nil {
			t.Errorf("%v: %v", tt.args, err)
		}
		tty.Close()
		seen, _ := io.ReadAll(screen) // ends with EIO, as the other side is closed
		screen.Close()
		if string(seen) != tt.want {
			t.Errorf("%v: %q, want %q", tt.args, seen, tt.want)
		}
	}
}
