package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/clitest"
)

// stint config names everything that a command refuses, ignores or reports, with the line of the file, and ends with 1. It
// says the same of a file without mistakes as the command itself.
func TestConfigNamesEveryMistake(t *testing.T) {
	dir := t.TempDir()
	labels := strings.Repeat("label = k%=v\n", 70)
	for i := range 70 {
		labels = strings.Replace(labels, "%", string(rune('a'+i/26))+string(rune('a'+i%26)), 1)
	}
	for _, c := range []struct {
		text, command string
		says          []string // FILE is the path
	}{
		{"server = http://127.0.0.1:7846\nlabel = a=b\ntimeout = 1h\ndir = /\nstop-grace =\nlabel =\n", "run", nil},
		{"server = http://a,http://b\nslots = 2\n", "worker", nil},
		{"memory-limit = 1G\ntimeout = soon\n", "doctor", nil}, // which has no timeout
		{"dir = /no/such/directory\n", "run", []string{`FILE:1: dir "/no/such/directory": no such file or directory; the command is refused`}},
		{"tty = on\nstdin = on\nno-stdin = on\n", "run", []string{"both FILE:2: stdin and FILE:3: no-stdin were given: choose one; the command is refused"}},
		{"cache-dir = x\n", "run", []string{"FILE:1: cache-dir: it needs --install-cache"}},
		{labels, "run", []string{"FILE:1: label: 70 labels are more than"}},
		{"report-to = h\n", "run", []string{"FILE:1: report-to: "}},
		{"server = http://a\nserver = b\n", "run", []string{`FILE:2: server: server address "b"`}},
		{"server = http://a\nserver = b\n", "runs", []string{`FILE:2: server: server address "b"`}},
		{"server = http://a\nserver = b\n", "worker", []string{`FILE:2: server: server address "b"`}},
		{"definitions = d\nallow-commands = on\n", "worker", []string{"FILE:1: definitions and FILE:2: allow-commands were both given"}},
		{"token-file = none\n", "run", []string{"FILE:1: token-file: ", "; the job runs, and its journal waits on this host"}},
		{"token-file = none\n", "job set", []string{"FILE:1: token-file: ", "; the command is refused"}},
		{"memory-limit = 1K\ncontainment = best\ntls-ca = none\n", "doctor", []string{
			"FILE:1: memory-limit: 1K is less than", `FILE:2: containment: "best" is none of`, "FILE:3: tls-ca: ",
		}},
		{"stop-signal = HOLD\nretries = -1\nheartbeat-period = soon\nlabel = x\nlabel\nsevrer = x\n", "run", []string{
			"FILE:1: stop-signal: ", "FILE:2: retries: ", "FILE:3: heartbeat-period: ", "FILE:4: label: ", "FILE:5: ", "FILE:6: there is no key",
		}},
	} {
		file := filepath.Join(dir, "agent.conf")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		console, printed := clitest.Console(t, func(name string) string {
			return map[string]string{"STINT_CONFIG": file, "STINT_STATE": dir}[name]
		})
		code := agentcmd.Execute(newRoot(console, nil, "test"), console, append([]string{"config"}, strings.Fields(c.command)...))
		_, stderr := printed()
		if want := min(len(c.says), 1); code != want || want == 0 && stderr != "" {
			t.Errorf("stint config %s of\n%.200s: %d, %q; want %d", c.command, c.text, code, stderr, want)
		}
		for _, says := range c.says {
			if !strings.Contains(stderr, strings.ReplaceAll(says, "FILE", file)) {
				t.Errorf("stint config %s of\n%.200s does not say %q:\n%s", c.command, c.text, says, stderr)
			}
		}
	}
}
