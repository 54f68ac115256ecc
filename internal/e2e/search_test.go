package e2e

import (
	"strings"
	"testing"
)

// What a person looks for in a log is found on the server, on both databases.
func TestLogsGrep(t *testing.T) {
	onBothDatabases(t, func(t *testing.T, s *server) {
		h := newHost(t)
		if got := h.run("run", "--server", s.url, "--job", "long", "--quiet", "--", "sh", "-c",
			"seq -f 'line %.0f' 5000; echo 'Oops: it failed' >&2"); got.code != 0 {
			t.Fatalf("stint run: %+v", got)
		}
		s.ended("long#1")
		tests := []struct {
			args string
			code int
			want string
		}{
			{"--grep ^line.4999$", 0, "line 4999\n"},
			{"--grep line.4[79]99$ -C 1 --stream stdout", 0, "line 4798\nline 4799\nline 4800\n--\nline 4998\nline 4999\nline 5000\n"},
			{"--grep OOPS", 1, ""},
			{"--grep OOPS -i --stream stderr", 0, "Oops: it failed\n"},
			{"--grep 7$ --count", 0, "500\n"},
			{"--grep nothing --count", 1, "0\n"},
			{"--since 1h --stream stderr", 0, "Oops: it failed\n"},
			{"--until 1h", 0, ""},
		}
		for _, tt := range tests {
			got := h.run(append([]string{"logs", "--server", s.url, "long#1"}, strings.Fields(tt.args)...)...)
			if got.code != tt.code || got.stdout != tt.want {
				t.Errorf("stint logs %s: exit %d, %q %q; want %d, %q", tt.args, got.code, got.stdout, got.stderr, tt.code, tt.want)
			}
		}
		for _, bad := range []string{"--count", "--grep x --tail 3", "--grep x -C 101", "--since sometime", "--from-line 3 --since 1h"} {
			if got := h.run(append([]string{"logs", "--server", s.url, "long#1"}, strings.Fields(bad)...)...); got.code != 2 {
				t.Errorf("stint logs %s: exit %d, %q", bad, got.code, got.stderr)
			}
		}
	})
}
