package cli

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/completion"
	"stint.dev/stint/job"
)

// completer asks for completions as shells do.
type completer struct {
	server string
	cache  string // XDG_CACHE_HOME
}

// lines returns the values and notes that are offered, and the directive.
func (c completer) lines(t *testing.T, args ...string) []string {
	t.Helper()
	con, printed := clitest.Console(t, func(name string) string {
		return map[string]string{"STINT_SERVER": c.server, "XDG_CACHE_HOME": c.cache}[name]
	})
	code := execute(newRoot(con, nil, "test"), con, append([]string{"__complete"}, args...), "test")
	stdout, _ := printed()
	if code != 0 {
		t.Errorf("%q: exit code %d", args, code)
	}
	return strings.Split(strings.TrimSuffix(stdout, "\n"), "\n")
}

// answers is a server with some runs that counts requests.
func answers(t *testing.T) (url string, asked *atomic.Int64) {
	asked = &atomic.Int64{}
	at := time.Date(2026, 11, 28, 4, 0, 0, 0, time.UTC)
	runs := []job.Run{
		{ID: "01a2999e-e710-74dc-b175-687f9087ab33", Job: "backup", Number: 12, State: job.Failed, StartedAt: &at, StartAt: at, Attempt: 2, Labels: map[string]string{"team": "a b", "note": "\x1b[31mred"}, Host: "web-1"},
		{ID: "02b2999e-e710-74dc-b175-687f9087ab33", Job: "train", Number: 3, State: job.Running, StartedAt: &at, StartAt: at, Attempt: 1, Labels: map[string]string{"team": `it's "x"`}, Host: "evil\nhost"},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		switch path := r.URL.Path; {
		case path == "/api/v1/runs":
			var found []job.Run
			for _, run := range runs {
				if (r.FormValue("job") == "" || r.FormValue("job") == run.Job) && (r.FormValue("state") == "" || strings.Contains(strings.Join(r.URL.Query()["state"], " "), string(run.State))) {
					found = append(found, run)
				}
			}
			clitest.Answer(t, w, map[string]any{"runs": found})
		case path == "/api/v1/jobs":
			clitest.Answer(t, w, map[string]any{"jobs": []map[string]any{{"name": "backup", "last_run": runs[0]}, {"name": "train", "last_run": runs[1]}, {"name": "x\x1b]0;title\a"}}})
		case strings.HasPrefix(path, "/api/v1/runs/"):
			clitest.Answer(t, w, runs[0])
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL, asked
}

func TestCompletionOffersWhatTheServerKnows(t *testing.T) {
	url, _ := answers(t)
	c := completer{url, t.TempDir()}
	for args, want := range map[string]string{
		"logs ba":                           "backup\t#12 failed|backup#12\tfailed, started ",
		"logs backup#":                      "backup#12\tfailed, started ",
		"logs backup#12.":                   "backup#12.2\tthe last one, failed|backup#12.1|:",
		"logs 01":                           "01a2999e-e710-74dc-b175-687f9087ab33\tbackup#12, failed",
		"show train@":                       "train@failed\t",
		"runs --state tim":                  "timed_out|:",
		"runs --label ":                     "note=|team=|:",
		"runs --label team=":                "team=a b\t",
		"runs --label=team=it":              `team=it's "x"` + "\t",
		"runs --label note=":                ":",
		"cancel ":                           "train#3\trunning",
		"retry ":                            "backup#12\tfailed",
		"job show t":                        "train\t#3 running",
		"submit --overlap s":                "skip\t",
		"notify set x --event fa":           "failed|:",
		"notify set x --severity c":         "critical|:",
		"run --stop-signal US":              "USR1|USR2|:",
		"run --job ba":                      "backup\t",
		"job set backup --policy ":          ":0",
		"server --data ":                    ":16",
		"apply ":                            ":0",
		"help job sh":                       "show\tShow a job",
		"completion ":                       "bash|fish|zsh|:",
		"runs --st":                         "--state\t",
		"runs --label a=b --lab":            "--label\t",
		"token create --scope ag":           "agent\t",
		"version ":                          ":4",
		"queue --priority x --nonsense  ":   ":0",
		"logs backup --step ":               ":",
		"runs --server http://127.0.0.1:1 ": ":4",
	} {
		got := strings.Join(c.lines(t, strings.Split(args, " ")...), "|")
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %q, want it to begin with %q", args, got, want)
		}
		if strings.ContainsAny(got, "\x1b\a\r") || strings.Contains(got, "evil\n") {
			t.Errorf("%q: control characters in %q", args, got)
		}
	}
}

// Answers are kept for a moment, in files of this user only, and offered when the server is away.
func TestCompletionKeepsAnswers(t *testing.T) {
	url, asked := answers(t)
	c := completer{url, filepath.Join(t.TempDir(), "cache")}
	for range 3 {
		if got := c.lines(t, "job", "show", ""); got[0] != "backup\t#12 failed" {
			t.Fatalf("got %q", got)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times, want once", n)
	}
	files, err := filepath.Glob(c.cache + "/stint/completion/*")
	if err != nil || len(files) != 1 {
		t.Fatalf("%v, %v: want one file", files, err)
	}
	for path, want := range map[string]os.FileMode{files[0]: 0o600, filepath.Dir(files[0]): 0o700} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v: want %v", path, info.Mode(), err, want)
		}
	}
	// Ten minutes later nobody answers.
	old := time.Now().Add(-10 * time.Minute)
	if err := os.Chtimes(files[0], old, old); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	if got := c.lines(t, "job", "show", "b"); got[0] != "backup\t#12 failed" || asked.Load() != 2 {
		t.Errorf("got %q after %d requests", got, asked.Load())
	}
	if err := os.WriteFile(files[0], []byte("[{"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := c.lines(t, "job", "show", "b"); got[0] != "backup\t#12 failed" {
		t.Errorf("with a damaged cache: got %q", got)
	}
	other := completer{"http://127.0.0.1:1", c.cache}
	if got := other.lines(t, "job", "show", "b"); got[0] != ":4" {
		t.Errorf("another server was offered %q", got)
	}
}

// A server that hangs delays a completion for a moment only; what is kept of it is offered.
func TestCompletionDoesNotWait(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	c := completer{server.URL, filepath.Join(t.TempDir(), "cache")}
	began := time.Now()
	if got := c.lines(t, "logs", ""); got[0] != ":36" { // two questions
		t.Errorf("got %q", got)
	}
	if took := time.Since(began); took > 5*time.Second { // far from the 30 s of a request, on a busy machine
		t.Errorf("it took %s", took)
	}
	if _, err := os.Stat(c.cache); err == nil {
		t.Error("something was kept of no answer")
	}
}

// Nothing is written, and no error is one, where the cache cannot be.
func TestCompletionWithoutACache(t *testing.T) {
	url, _ := answers(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"", "relative", file, "/proc/nowhere"} {
		if got := (completer{url, dir}).lines(t, "job", "show", "b"); got[0] != "backup\t#12 failed" {
			t.Errorf("%q: got %q", dir, got)
		}
	}
	if _, err := os.Stat("relative"); err == nil {
		t.Error("a relative directory was made")
	}
}

// Somebody has decided what completes every option and argument.
func TestEveryValueHasACompletion(t *testing.T) {
	c, _ := clitest.Console(t, func(string) string { return "" })
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		if cmd.Hidden {
			return
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if completion.OptionKind(cmd, f) == completion.Unknown {
				t.Errorf("%s --%s %s: internal/cli/completion/kinds.go does not say what completes it", cmd.CommandPath(), f.Name, f.Value.Type())
			}
		})
		if kinds, _ := completion.ArgumentKinds(cmd); cmd.ValidArgs == nil {
			for n, k := range kinds {
				if k == completion.Unknown {
					t.Errorf("%s: internal/cli/completion/kinds.go does not say what completes argument %d", cmd.UseLine(), n+1)
				}
			}
		}
		for _, sub := range cmd.Commands() {
			visit(sub)
		}
	}
	visit(newRoot(c, nil, "test"))
}

func TestScriptsNameTheProgram(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		code, stdout, stderr := stint(t, "completion", shell)
		if code != 0 || stderr != "" || !strings.Contains(stdout, "stint") || strings.Contains(stdout, "PROGRAM") || strings.Contains(stdout, "FUNCTION") {
			t.Errorf("%s: exit code %d, %q, %s", shell, code, stderr, stdout)
		}
	}
	if code, _, stderr := stint(t, "completion", "csh"); code != 2 || !strings.Contains(stderr, "bash, fish, zsh") {
		t.Errorf("csh: %d, %q", code, stderr)
	}
}
