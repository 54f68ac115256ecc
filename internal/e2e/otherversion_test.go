package e2e

import (
	"os/exec"
	"strings"
	"testing"

	"stint.dev/stint/internal/store/postgrestest"
)

// No command changes the schema of a PostgreSQL database that servers of another version may use.
func TestCommandsBesideServersOfAnotherVersion(t *testing.T) {
	s, h := &server{t: t, url: "http://" + freeAddress(t), database: postgrestest.URL(t)}, newHost(t)
	s.start()
	t.Cleanup(s.stop)
	query := func(text string) string {
		t.Helper()
		r := finish(t, exec.Command("psql", "-X", "-A", "-t", "-q", "-d", s.database, "-c", text))
		if r.code != 0 {
			t.Fatalf("%s: %+v", text, r)
		}
		return strings.TrimSpace(r.stdout)
	}
	const newest = `SELECT MAX(version_id) FROM schema_version`
	version := query(newest)
	query(`DELETE FROM schema_version WHERE version_id = ` + version)
	older := query(newest)
	for _, args := range [][]string{
		{"token", "create", "--name", "ci", "--scope", "read"},
		{"token", "list"},
		{"token", "revoke", "ci"},
		{"server", "check"},
		{"server", "check", "--repair"},
		{"server", "check", "--rebuild"},
		{"server", "rotate-key"},
	} {
		name := strings.Join(args, " ")
		if r := h.run(append(args, "--database", s.database)...); r.code == 0 || !strings.Contains(r.stderr, "a server of another version may be using it") {
			t.Errorf("stint %s: %+v", name, r)
		}
		if now := query(newest); now != older {
			t.Fatalf("stint %s brought the schema from version %s to %s", name, older, now)
		}
	}
	query(`INSERT INTO schema_version (version_id, is_applied) VALUES (` + version + `, true)`)
	if r := h.run("token", "list", "--database", s.database); r.code != 0 {
		t.Errorf("with the schema of the servers: %+v", r)
	}
}
