package jobcmd

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/clitest"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// A policy of a job that nobody knows is set, with a warning: its name may be a mistake.
func TestSetPolicyWarnsOfAnUnknownJob(t *testing.T) {
	file := filepath.Join(t.TempDir(), "p.yaml")
	if err := os.WriteFile(file, []byte("rules: {}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	server := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodPut:
			clitest.Answer(t, w, api.JobPolicy{})
		case strings.HasSuffix(r.URL.Path, "/jobs/backup"):
			clitest.Answer(t, w, api.Summary{Name: "backup"})
		default:
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			clitest.Encode(t, w, job.Problem{Type: job.ProblemNotFound, Status: http.StatusNotFound})
		}
	})
	for name, warned := range map[string]bool{"backup": false, "bakcup": true} {
		stdout, stderr, err := clitest.Ask(t, server, newSet, "set", name, "--policy", file)
		if err != nil || stdout != "the policy of "+name+" is set\n" || strings.Contains(stderr, "stint job set --default bakcup") != warned {
			t.Errorf("%s: %v, %q, %q", name, err, stdout, stderr)
		}
	}
}

func TestEmptyPolicyIsRefused(t *testing.T) {
	server := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the server was asked") })
	for _, args := range [][]string{{"set", "backup"}} {
		_, _, err := clitest.Ask(t, server, newSet, append(args, "--policy", os.DevNull)...)
		if err == nil || !strings.Contains(err.Error(), "/dev/null is empty; stint job set NAME --default removes") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// newSet returns the command job.
func newSet(c *console.Console) *cobra.Command {
	return Commands(&command.Program{Console: c})[0]
}
