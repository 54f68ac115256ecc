package cli

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/job"
)

// problems is a server that answers everything with one problem.
func problems(t *testing.T, status int, detail string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		clitest.Encode(t, w, job.Problem{Type: job.ProblemType(status), Title: http.StatusText(status), Status: status, Detail: detail})
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestWrongUses is the table of wrong uses: each ends with its exit code and one line, which says what was tried, on what,
// and what to do.
func TestWrongUses(t *testing.T) {
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "<html><title>Sign in</title></html>")
	}))
	t.Cleanup(page.Close)
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // that its certificate is refused
	secure.StartTLS()
	t.Cleanup(secure.Close)
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no certificate\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	at := strings.NewReplacer(
		"PAGE", page.URL, "TLS", secure.URL, "PLAIN", "https"+strings.TrimPrefix(page.URL, "http"), "NOBODY", "http://127.0.0.1:1", "TEXT", text,
		"NONE", filepath.Join(dir, "none"), "E401", problems(t, 401, "a token is needed"), "E403", problems(t, 403, "the token has the scope agent, and this needs read"),
		"E404", problems(t, 404, "run train#9 was not found"), "E409", problems(t, 409, "the run has ended"), "E422", problems(t, 422, `"(" is not a regular expression`),
		"E500", problems(t, 500, "the database does not respond"),
	)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		// Commands and options.
		{"shwo train", 2, "did you mean show?"},
		{"python train.py", 2, "a job is run with: stint run -- python"},
		{"job", 0, ""},
		{"job sett x", 2, "did you mean set?"},
		{"help shwo", 2, "did you mean show?"},
		{"runs --job=x --lable a=b", 2, "did you mean --label?"},
		{"runs --state", 2, "flag needs an argument: --state"},
		{"version extra", 2, `unexpected argument "extra"`},
		{"--json runs", 2, "follow the command"},
		{"run --lr 3 train.py", 2, "put -- before that"},
		{"completion csh", 2, "bash, fish, zsh"},
		// Missing arguments.
		{"run", 2, "no command to run; write: stint run"},
		{"run --", 2, "no command to run"},
		{"logs", 2, "needs one RUN"},
		{"cancel a b", 2, "needs one RUN"},
		{"job set", 2, "needs the NAME of one job"},
		{"job set x", 2, "--policy FILE or --default"},
		{"notify set", 2, "needs the NAME of one route"},
		{"notify set x", 2, "--url URL"},
		{"token create", 2, "--name"},
		{"token revoke", 2, "by its ID or its NAME"},
		{"group set x", 2, "--limit"},
		// Values.
		{"run --timeout 5 -- true", 2, `--timeout: "5" is not a duration: write it like 90s`},
		{"run --memory-limit lots -- true", 2, `--memory-limit: "lots" is not a size`},
		{"run --label foo -- true", 2, `--label: "foo" is not K=V`},
		{"run --stop-signal BOO -- true", 2, `--stop-signal: "BOO" is none of TERM`},
		{"run --job team/backup -- true", 2, "as in team-backup"},
		{"run --job a#1 -- true", 2, "as in a-1"},
		{"runs --job team/backup", 2, "--job: "},
		{"queue --job team/backup", 2, "--job: "},
		{"runs --limit x", 2, `--limit: "x" is not a number`},
		{"runs --state run", 2, "the states are queued"},
		{"logs x --tail 0", 2, "--tail: 0 is not a whole number from 1"},
		{"logs x --stream out", 2, "neither stdout nor stderr"},
		{"logs x --count", 2, "need --grep"},
		{"logs x -f --from-line 3 --server E404", 1, "was not found"},
		{"notify set x --url https://h.example/ --event nosuch", 2, "--event: "},
		{"notify set x --url https://h.example/ --quiet-for 9h", 2, "--quiet-cron"},
		{"job due x --cron x", 2, "--cron: "},
		{"show a/b", 2, "names no run"},
		{"show train#0", 2, "wants a number from 1 after the #"},
		{"job show a#b", 2, "as in a-b"},
		// Addresses and tokens.
		{"runs --server 127.0.0.1:7846", 2, "write it like http://127.0.0.1:7846"},
		{"runs --server ftp://h", 2, "does not begin with http://"},
		{"runs --server http://u:secret@h", 2, "a token goes into STINT_TOKEN"},
		{"runs --token tök", 2, "copy it again"},
		{"runs --server E401", 3, "a token is needed"},
		{"runs --server E403", 3, "this needs read"},
		{"runs --server E500", 3, "the database does not respond"},
		{"runs --server PAGE", 3, "check the address"},
		{"runs --server NOBODY", 3, "is the address right, and is the server running there?"},
		{"runs --server TLS", 3, "--tls-ca FILE"},
		{"runs --server PLAIN", 3, "begin with http:// instead?"},
		{"runs --server TLS --tls-ca TEXT", 2, "no PEM certificate"},
		{"runs --server TLS --tls-ca NONE", 2, "--tls-ca: "},
		{"runs --tls-cert TEXT", 2, "give --tls-key"},
		// Answers, and files.
		{"show train#9 --server E404", 1, "run train#9 was not found"},
		{"cancel train#9 --server E409", 1, "the run has ended"},
		{"show train#9 --server E500", 3, "the database does not respond"},
		{"notify delete x --server E404", 1, "was not found"},
		{"job set x --policy NONE", 2, "read the policy: open "},
		{"job set x --policy /dev/null", 2, "/dev/null is empty"},
		{"apply NONE", 2, "no such file"},
		// Health is yes or no.
		{"health --server NOBODY", 1, "no answer from http://127.0.0.1:1"},
		{"health --server PAGE", 1, "check the address"},
		{"health --server E500", 1, "is not ready: the database does not respond"},
		{"health --server h", 2, "--server: "},
		{"health --token x", 2, "--token"},
		{"health x", 2, `unexpected argument "x"`},
	} {
		args := strings.Fields(at.Replace(c.args))
		code, stdout, stderr := stint(t, args...)
		lines := strings.Count(stderr, "\n")
		if code != c.code || !strings.Contains(stderr, c.says) || c.code != 0 && (lines != 1 || stdout != "") {
			t.Errorf("stint %s: exit code %d and %q, want %d and one line with %q", c.args, code, stderr, c.code, c.says)
		}
		for _, word := range []string{"body.", "match.", "validation failed", "_seconds", "goroutine", "u:secret"} {
			if strings.Contains(stderr, word) {
				t.Errorf("stint %s: %q has %q", c.args, stderr, word)
			}
		}
	}
}
