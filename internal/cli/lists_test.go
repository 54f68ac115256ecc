package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"stint.dev/stint/internal/agent/process/terminal"
	"stint.dev/stint/internal/cli/agentcmd"
	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

// site is a Stint server, and how commands reach it.
type site struct {
	t   *testing.T
	url string
}

func newSite(t *testing.T) site {
	t.Helper()
	return newSiteWith(t, server.Config{Insecure: true})
}

func newSiteWith(t *testing.T, cfg server.Config) site {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	db, err := store.Open(t.Context(), store.Options{Dir: t.TempDir(), SecretKeyFile: filepath.Join(t.TempDir(), "secret.key"), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	cfg.Store, cfg.Log = db, log
	srv, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { srv.Run(ctx) })
	s := httptest.NewServer(srv.Handler())
	t.Cleanup(func() {
		s.Close()
		cancel()
		running.Wait()
	})
	return site{t, s.URL}
}

// send makes a call of the API.
func (s site) send(method, path, body string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if text, _ := io.ReadAll(resp.Body); resp.StatusCode >= 300 {
		s.t.Fatalf("%s %s: %d %s", method, path, resp.StatusCode, text)
	}
}

// ran makes a run of a job with an end: completed or failed.
func (s site) ran(name, end string) {
	s.t.Helper()
	s.send("PUT", "/compat/"+name+"/status", `{"status":"started"}`)
	s.send("PUT", "/compat/"+name+"/status", `{"status":"`+end+`"}`)
}

func (s site) getenv(name string) string {
	if name == "STINT_SERVER" {
		return s.url
	}
	return ""
}

// stint runs a command beside the server, without a terminal.
func (s site) stint(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	c, printed := clitest.Console(s.t, s.getenv)
	code = agentcmd.Execute(newRoot(c, nil, "test"), c, args)
	stdout, stderr = printed()
	return code, stdout, stderr
}

// names returns the first column of a table without its head.
func names(table string) string {
	var out []string
	for _, line := range strings.Split(strings.TrimSpace(table), "\n")[1:] {
		out = append(out, strings.Fields(line)[0])
	}
	return strings.Join(out, " ")
}

func TestListsOfRunsAndJobs(t *testing.T) {
	s := newSite(t)
	for _, args := range []string{"runs", "jobs", "audit", "notify log"} {
		if code, stdout, stderr := s.stint(strings.Fields(args)...); code != 0 || stdout != "" || stderr == "" {
			t.Errorf("stint %s without anything to list: %d, %q, %q", args, code, stdout, stderr)
		}
	}
	for i := range 5 {
		s.ran("backup", []string{"completed", "failed"}[i%2])
	}
	s.ran("train", "completed")
	s.send("PUT", "/api/v1/jobs/nightly/due", `{"cron":"0 3 * * *","zone":"UTC","grace_seconds":3600}`)
	for args, want := range map[string]string{
		"runs":                               "train#1 backup#5 backup#4 backup#3 backup#2 backup#1",
		"runs backup --state failed":         "backup#4 backup#2",
		"runs --state failed,lost":           "backup#4 backup#2",
		"runs --job train":                   "train#1",
		"runs train --since 1h --until 23:5": "",
		"runs train --since yesterday":       "train#1",
		"runs --until 1h":                    "",
		"runs --since 1w -q rain":            "train#1",
		"runs --limit 2":                     "train#1 backup#5",
		"runs --all":                         "train#1 backup#5 backup#4 backup#3 backup#2 backup#1",
		"runs --health critical --host none": "",
		"jobs":                               "backup nightly train",
		"jobs -n 1":                          "backup",
		"jobs --search I":                    "nightly train",
		"jobs -q none":                       "",
		"jobs --state succeeded":             "backup train",
		"jobs --state failed,lost":           "",
		"jobs --all --state succeeded -q TR": "train",
		"jobs --label team=db":               "",
	} {
		code, stdout, stderr := s.stint(strings.Fields(args)...)
		if strings.Contains(args, "23:5") {
			if code != console.ExitUsage || !strings.Contains(stderr, `--until: "23:5" is not a time: write it like 2h`) {
				t.Errorf("stint %s: %d, %q", args, code, stderr)
			}
			continue
		}
		if got := names("\n" + stdout); strings.TrimPrefix(got, "RUN ") != want && strings.TrimPrefix(got, "JOB ") != want && got != want {
			t.Errorf("stint %s: %d, %q, %q; want %q", args, code, got, stderr, want)
		}
	}
	code, stdout, _ := s.stint("jobs")
	if line := lineWith(stdout, "nightly"); code != 0 || !strings.Contains(line, " 03:00 ") && !strings.Contains(line, "-  ") {
		t.Errorf("stint jobs:\n%s", stdout)
	}
}

// lineWith returns the first line that has a text.
func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

// Pages follow each other by the cursor that a line on stderr names.
func TestPagesOfRuns(t *testing.T) {
	s := newSite(t)
	for range 5 {
		s.ran("backup", "completed")
	}
	var got []string
	cursor := ""
	for page := 0; page == 0 || cursor != ""; page++ {
		args := []string{"runs", "--limit", "2"}
		if cursor != "" {
			args = append(args, "--cursor", cursor)
		}
		code, stdout, stderr := s.stint(args...)
		if code != 0 || page > 3 {
			t.Fatalf("page %d: %d, %s", page, code, stderr)
		}
		got = append(got, names(stdout))
		_, rest, more := strings.Cut(stderr, "--cursor ")
		if cursor, _, _ = strings.Cut(rest, " "); !more && stderr != "" {
			t.Errorf("page %d: %q", page, stderr)
		}
	}
	if want := "backup#5 backup#4|backup#3 backup#2|backup#1"; strings.Join(got, "|") != want {
		t.Errorf("pages %q, want %s", got, want)
	}
	code, stdout, stderr := s.stint("runs", "--limit", "2", "--json")
	var page struct {
		Runs       []json.RawMessage `json:"runs"`
		NextCursor *string           `json:"next_cursor"`
	}
	if err := json.Unmarshal([]byte(stdout), &page); err != nil || code != 0 || stderr != "" || len(page.Runs) != 2 || page.NextCursor == nil {
		t.Errorf("as JSON: %v, %d, %q, %d runs", err, code, stderr, len(page.Runs))
	}
}

func TestWhoami(t *testing.T) {
	closed := newSiteWith(t, server.Config{RequireToken: true})
	for _, c := range [][2]string{{"", "asks for a token: give it as STINT_TOKEN"}, {"stint_wrong", "does not accept the token of --token"}} {
		if code, stdout, stderr := closed.stint("whoami", "--token", c[0]); code != 3 || stdout != "" || !strings.Contains(stderr, c[1]) {
			t.Errorf("with the token %q: %d, %q, %q; want 3 and %q", c[0], code, stdout, stderr, c[1])
		}
	}
	s := newSite(t)
	code, stdout, stderr := s.stint("whoami")
	if code != 0 || !strings.Contains(stdout, "needs no token") || !strings.Contains(stdout, "scope   admin") || !strings.Contains(stdout, s.url+", version ") {
		t.Errorf("%d, %q, %q", code, stdout, stderr)
	}
	var id struct{ Scope, Via, Server string }
	if _, stdout, _ := s.stint("whoami", "--json"); json.Unmarshal([]byte(stdout), &id) != nil || id.Scope != "admin" || id.Via != "none" || id.Server != s.url {
		t.Errorf("as JSON: %s", stdout)
	}
}

func TestAuditList(t *testing.T) {
	s := newSite(t)
	for i := range 3 {
		s.send("PUT", fmt.Sprintf("/api/v1/jobs/job-%d/due", i), `{"every_seconds":3600,"grace_seconds":60}`)
	}
	for args, want := range map[string]int{
		"audit": 3, "audit --search JOB-1/due": 1, "audit -q job_1": 0, "audit --since 1h": 3, "audit --until 1h": 0, "audit --who ada": 0, "audit --limit 2": 2,
	} {
		code, stdout, stderr := s.stint(strings.Fields(args)...)
		if got := strings.Count(stdout, "/api/v1/jobs/job-"); code != 0 || got != want || (args == "audit --limit 2") != strings.Contains(stderr, "--cursor ") {
			t.Errorf("stint %s: %d, %d entries, %q; want %d", args, code, got, stderr, want)
		}
	}
}

func TestVersionFlag(t *testing.T) {
	_, want, _ := stint(t, "version")
	for _, flag := range []string{"--version", "-v"} {
		if code, stdout, stderr := stint(t, flag); code != 0 || stdout != want || !strings.HasPrefix(want, "stint test ") {
			t.Errorf("stint %s: %d, %q, %q; want %q", flag, code, stdout, stderr, want)
		}
	}
}

// onTerminal runs a command on a terminal of some width and returns what it shows.
func (s site) onTerminal(columns int, args ...string) string {
	s.t.Helper()
	master, slave, err := terminal.Open(terminal.Size{Columns: uint16(columns), Rows: 50})
	if err != nil {
		s.t.Fatal(err)
	}
	defer master.Close() //nolint:errcheck // nothing is written to it
	var shown bytes.Buffer
	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(&shown, master) }) // the read fails when the last descriptor is closed
	c := &console.Console{In: slave, Out: slave, Err: slave, Getenv: func(name string) string {
		if name == "NO_COLOR" {
			return "1"
		}
		return s.getenv(name)
	}}
	code := agentcmd.Execute(newRoot(c, nil, "test"), c, args)
	_ = slave.Close()
	reading.Wait()
	if code != 0 {
		s.t.Errorf("stint %v: %d, %q", args, code, shown.String())
	}
	text := strings.ReplaceAll(shown.String(), "\r\n", "\n")
	if at := strings.LastIndex(text, "\x1b[K"); at >= 0 { // of the line that is shown while the command waits
		text = text[at+len("\x1b[K"):]
	}
	return text
}

// The tables of every command that lists something fit a terminal of any width.
func TestTablesOnTerminals(t *testing.T) {
	s := newSite(t)
	long := "a-very-long-name-of-a-job-that-nobody-would-like-to-type-more-than-once"
	s.ran(long, "failed")
	s.ran("夜間のバックアップ", "completed")
	s.ran("backup", "failed")
	s.send("PUT", "/api/v1/jobs/"+long+"/due", `{"cron":"0 3 * * *","zone":"Europe/Berlin","grace_seconds":3600}`)
	s.send("POST", "/api/v1/tokens", `{"name":"the token of the machine that builds","scope":"agent"}`)
	for _, args := range []string{"runs", "jobs", "audit", "token list", "show backup", "explain backup", "events backup", "explain 夜間のバックアップ", "config"} {
		for _, columns := range []int{60, 80, 120, 200} {
			shown := s.onTerminal(columns, strings.Fields(args)...)
			for line := range strings.Lines(shown) {
				if n := console.Cells(strings.TrimRight(line, "\r\n")); n > columns && !strings.HasPrefix(line, "stint: ") {
					t.Errorf("stint %s at %d columns: a line of %d cells: %q", args, columns, n, line)
				}
			}
			if shown == "" || args == "audit" && !strings.Contains(shown, "ACTION") {
				t.Errorf("stint %s at %d columns shows\n%s", args, columns, shown)
			}
			t.Logf("stint %s at %d columns\n%s", args, columns, shown)
		}
	}
}
