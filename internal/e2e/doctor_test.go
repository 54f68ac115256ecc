package e2e

import (
	"strings"
	"testing"
)

// The doctor says what a token may do, and leaves no run behind.
func TestDoctorLooksAtTheToken(t *testing.T) {
	s, h := startServer(t), newHost(t)
	token := func(scope string) string {
		got := h.run("token", "create", "--server", s.url, "--name", scope, "--scope", scope)
		for _, word := range strings.Fields(got.stdout) {
			if strings.HasPrefix(word, "stint_") {
				return word
			}
		}
		t.Fatalf("no token in %+v", got)
		return ""
	}
	for _, tc := range []struct {
		token, says string
		code        int
	}{
		{"", "✓ token        not needed: the server accepts this host without one", 0},
		{token("agent"), "✓ token        valid, of the scope agent", 0},
		{token("admin"), "! token        valid, and of the scope admin", 0},
		{token("read"), "has the scope read, but this request needs the scope agent", 1},
		{"stint_unknown", "✕ token        ", 1},
	} {
		cmd := h.command(stint, "doctor", "--server", s.url)
		cmd.Env = append(cmd.Env, "STINT_TOKEN="+tc.token)
		got := finish(t, cmd)
		if got.code != tc.code || !strings.Contains(got.stdout, tc.says) || !strings.Contains(got.stdout, "✓ tls ") {
			t.Errorf("with the token %.12s: code %d\n%s%s", tc.token, got.code, got.stdout, got.stderr)
		}
	}
	if all := string(s.get("/api/v1/runs")); strings.Contains(all, "00000000-0000-7000") {
		t.Errorf("the doctor made a run: %s", all)
	}
}
