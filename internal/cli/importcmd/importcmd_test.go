package importcmd

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/client/lists"
	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/postgrestest"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// target is a Stint server to import into.
type target struct {
	*client.Client
	t   *testing.T
	url string
}

// onBoth runs a test with a server on each database.
func onBoth(t *testing.T, do func(*testing.T, target)) {
	for engine, options := range map[string]func(*testing.T) store.Options{
		"SQLite":     func(t *testing.T) store.Options { t.Helper(); return store.Options{Dir: t.TempDir()} },
		"PostgreSQL": func(t *testing.T) store.Options { t.Helper(); return store.Options{URL: postgrestest.URL(t)} },
	} {
		t.Run(engine, func(t *testing.T) {
			o := options(t)
			o.SecretKeyFile, o.Log = filepath.Join(t.TempDir(), "secret.key"), slog.New(slog.DiscardHandler)
			db, err := store.Open(t.Context(), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			srv, err := server.New(server.Config{Store: db, Log: o.Log, Insecure: true})
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
			c, err := client.New(client.Options{URL: s.URL})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(c.Close)
			do(t, target{c, t, s.URL})
		})
	}
}

// run runs the command, with the API key in the environment.
func (s target) run(key string, args ...string) (stdout, stderr string, err error) {
	s.t.Helper()
	c, printed := clitest.Console(s.t, func(name string) string {
		return map[string]string{"STINT_SERVER": s.url, "STINT_API_KEY": key}[name]
	})
	cmd := Command(&command.Program{Console: c, Version: "test"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"healthchecks"}, args...))
	err = cmd.ExecuteContext(s.t.Context())
	stdout, stderr = printed()
	return stdout, stderr, err
}

// due returns the expectation of a job.
func (s target) due(name string) api.JobDue {
	s.t.Helper()
	d, err := s.Due(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return d
}

// ping pings an address, and returns the answer.
func (s target) ping(path string) string {
	s.t.Helper()
	resp, err := http.Post(s.url+path, "text/plain", strings.NewReader("output\n"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return strconv.Itoa(resp.StatusCode) + " " + string(text)
}

// counts returns how many lines say that an expectation is created, changed and unchanged.
func counts(stdout string) [3]int {
	return [3]int{strings.Count(stdout, " created"), strings.Count(stdout, " changed"), strings.Count(stdout, " unchanged")}
}

func TestImport(t *testing.T) {
	onBoth(t, func(t *testing.T, s target) {
		hc, url := newHealthchecks(t,
			simple(firstUUID, "DB backup/prod", "db-backup", 86400, 3600, map[string]any{
				"tags": "prod  env=live team:ops a=b=c =x env:test", "desc": "Backs up", "channels": channelUUID + "," + channelUUID, "methods": "POST", "filter_http_body": true, "failure_kw": "ERROR",
			}),
			cron(secondUUID, "nightly", "nightly", "0 3 * * *", "Europe/Berlin", 600, map[string]any{"status": "paused", "manual_resume": true}),
			cron("0199aaaa-3333-4000-8000-000000000003", "odd", "", "*-*-* 18:00", "UTC", 600, nil),
			simple("0199aaaa-4444-4000-8000-000000000004", "nightly", "nightly", 3600, 60, map[string]any{"status": "up", "n_pings": 7, "last_ping": "2026-01-01T00:00:00+00:00"}),
			simple("0199aaaa-5555-4000-8000-000000000005", "", "", 60, 60, nil),
		)
		before := func() int {
			page, err := lists.Jobs(t.Context(), s.Client, lists.JobsQuery{})
			if err != nil {
				t.Fatal(err)
			}
			return len(page.Jobs)
		}
		stdout, stderr, err := s.run(writeKey, "--url", url, "--dry-run")
		if err != nil || counts(stdout) != [3]int{4, 0, 0} || before() != 0 {
			t.Fatalf("--dry-run: %v, %d jobs\n%s%s", err, before(), stdout, stderr)
		}
		stdout, stderr, err = s.run(writeKey, "--url", url+"/")
		if err != nil || counts(stdout) != [3]int{4, 0, 0} {
			t.Fatalf("%v\n%s%s", err, stdout, stderr)
		}
		for _, says := range []string{
			`DB backup/prod: its tag "=x" is left out: label key`, `DB backup/prod: its tag "env:test" is left out: another one gives the label env the value "live"`,
			"DB backup/prod: its description is left out", "DB backup/prod: its 2 channels are left out",
			"DB backup/prod: its filters and keywords are left out", "odd: left out: its schedule is no single crontab expression",
		} {
			if !strings.Contains(stderr, says) {
				t.Errorf("%q is not in\n%s", says, stderr)
			}
		}
		for name, want := range map[string]struct {
			uuid, slug string
			e          job.Expectation
			state      api.DueState
			post       bool
			labels     map[string]string
		}{
			"DB backup-prod":   {firstUUID, "db-backup", job.Expectation{EverySeconds: 86400, GraceSeconds: 3600}, api.DueNew, true, map[string]string{"prod": "true", "env": "live", "team": "ops", "a": "b=c"}},
			"nightly":          {secondUUID, "nightly", job.Expectation{Cron: "0 3 * * *", Zone: "Europe/Berlin", GraceSeconds: 600}, api.DuePaused, false, nil},
			"nightly-0199aaaa": {"0199aaaa-4444-4000-8000-000000000004", "nightly", job.Expectation{EverySeconds: 3600, GraceSeconds: 60}, api.DueNew, false, nil},
			"check-0199aaaa":   {"0199aaaa-5555-4000-8000-000000000005", "check-0199aaaa", job.Expectation{EverySeconds: 60, GraceSeconds: 60}, api.DueNew, false, nil},
		} {
			got := s.due(name)
			if got.Expectation != want.e || got.State != want.state || got.PostOnly != want.post || got.Slug != want.slug || !strings.HasSuffix(got.PingURL, "/ping/"+want.uuid) {
				t.Errorf("%s: %+v", name, got)
			}
			if diff := cmp.Diff(want.labels, got.Labels); diff != "" {
				t.Errorf("labels of %s (-want +got):\n%s", name, diff)
			}
		}
		// The same addresses are pinged as before, but for the host.
		for path, name := range map[string]string{"/ping/" + firstUUID: "DB backup-prod", "/" + writeKey[10:] + "/db-backup/start": "DB backup-prod", "/0199aaaa-5555-4000-8000-000000000005": "check-0199aaaa"} {
			if got := s.ping(path); got != "200 OK" {
				t.Errorf("%s: %s", path, got)
			}
			if d := s.due(name); d.LastStartAt == nil {
				t.Errorf("the ping of %s does not count for %s: %+v", path, name, d)
			}
		}
		if stdout, stderr, err = s.run(writeKey, "--url", url); err != nil || counts(stdout) != [3]int{0, 0, 4} {
			t.Errorf("again: %v\n%s%s", err, stdout, stderr)
		}

		// The two pings are one run or two, by their order.
		of, err := s.Runs(t.Context(), client.RunsQuery{Job: "DB backup-prod"})
		if err != nil {
			t.Fatal(err)
		}
		with, err := s.Runs(t.Context(), client.RunsQuery{Labels: []string{"env=live", "prod=true", "team=ops", "a=b=c"}})
		if err != nil || len(of.Runs) == 0 {
			t.Fatalf("%d runs, %v", len(of.Runs), err)
		}
		if diff := cmp.Diff(of.Runs, with.Runs); diff != "" {
			t.Errorf("runs of the job, and those with the labels:\n%s", diff)
		}

		hc.checks[0]["tags"] = ""
		if stdout, stderr, err = s.run(writeKey, "--url", url); err != nil || counts(stdout) != [3]int{0, 1, 3} || s.due("DB backup-prod").Labels != nil {
			t.Errorf("without tags: %v\n%s%s", err, stdout, stderr)
		}

		hc.checks[0]["name"], hc.checks[0]["grace"] = "renamed", 7200
		hc.checks[1]["status"], hc.checks[4]["status"] = "up", "paused"
		stdout, stderr, err = s.run(writeKey, "--url", url, "--json")
		if err != nil || strings.Count(stdout, `"changed"`) != 2 || strings.Count(stdout, `"unchanged"`) != 2 {
			t.Errorf("after changes: %v\n%s%s", err, stdout, stderr)
		}
		if d := s.due("DB backup-prod"); d.GraceSeconds != 7200 || !strings.HasSuffix(d.PingURL, firstUUID) {
			t.Errorf("the renamed check: %+v", d)
		}
		if a, b := s.due("nightly").State, s.due("check-0199aaaa").State; a != api.DuePaused || b != api.DuePaused {
			t.Errorf("the states are %s and %s", a, b)
		}
	})
}

// An expectation that was not imported is left alone.
func TestImportLeavesOthersAlone(t *testing.T) {
	onBoth(t, func(t *testing.T, s target) {
		_, url := newHealthchecks(t, simple(firstUUID, "backup", "backup", 86400, 3600, nil))
		mine := job.Expectation{Cron: "0 4 * * *", Zone: "UTC", GraceSeconds: 600}
		before, err := s.PutDue(t.Context(), "backup", api.DueRequest{Expectation: mine})
		if err != nil {
			t.Fatal(err)
		}
		stdout, stderr, err := s.run(writeKey, "--url", url)
		if err != nil || stdout != "" || !strings.Contains(stderr, "backup: left out: job \"backup\" has an expectation of its own") {
			t.Errorf("%v\n%s%s", err, stdout, stderr)
		}
		if diff := cmp.Diff(before, s.due("backup")); diff != "" {
			t.Error(diff)
		}
	})
}

// Keys that cannot do, and what is no Healthchecks server, are refused with the reason.
func TestImportRefuses(t *testing.T) {
	_, url := newHealthchecks(t, simple(firstUUID, "backup", "backup", 86400, 3600, nil))
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/stolen", http.StatusFound) // the key must not go there
	}))
	defer other.Close()
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }))
	defer page.Close()
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte(readKey+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		key  string
		args []string
		want string
	}{
		{"", nil, "an API key of Healthchecks is missing"},
		{"short", nil, "has 32 characters, and not 5"},
		{readKey, nil, "the API key is read-only"},
		{"", []string{"--api-key-file", file}, "the API key is read-only"},
		{"", []string{"--api-key-file", file, "--api-key", writeKey}, "exclude each other"},
		{"", []string{"--api-key-file", file + "x"}, "--api-key-file: "},
		{oldReadKey, nil, "the API key is read-only"},
		{strings.Repeat("x", 32), nil, "wrong api key; give the API key"},
		{writeKey, []string{"--url", "hc-ping.com"}, "--url: "},
		{writeKey, []string{"--url", url + "/elsewhere"}, "404 Not Found; see that it is the address"},
		{writeKey, []string{"--url", other.URL}, "it leads to http://127.0.0.1:1/stolen"},
		{writeKey, []string{"--url", page.URL}, "did not respond with checks"},
		{writeKey, []string{"--url", "http://127.0.0.1:1"}, "connection refused"},
	} {
		stdout, stderr, err := clitest.Ask(t, http.NotFoundHandler(), func(c *console.Console) *cobra.Command {
			getenv := c.Getenv
			c.Getenv = func(name string) string {
				if name == "STINT_API_KEY" {
					return tt.key
				}
				return getenv(name)
			}
			return Command(&command.Program{Console: c, Version: "test"})
		}, append([]string{"healthchecks", "--url", url}, tt.args...)...)
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), writeKey) {
			t.Errorf("%q %q: %v, want %q\n%s%s", tt.key, tt.args, err, tt.want, stdout, stderr)
		}
	}
}
