package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"stint.dev/stint/job"
)

// A connection value that cannot be used never keeps a job from running: one line names the
// option or variable, and the journal waits until stint flush has the right value.
func TestConnectionValuesNeverKeepAJobFromRunning(t *testing.T) {
	s := startServer(t)
	nothing := filepath.Join(t.TempDir(), "nothing.pem")
	noPEM := filepath.Join(t.TempDir(), "no.pem")
	if err := os.WriteFile(noPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, option, value string
		more                []string // flags that make the value count
		says                string
		hidden              string // what no message may show
	}{
		{name: "no scheme", option: "server", value: "localhost:7846", says: "http://"},
		{name: "another scheme", option: "server", value: "ftp://h/", says: "ftp://h/"},
		{name: "nonsense", option: "server", value: "::nonsense::", says: "nonsense"},
		{name: "with a password", option: "server", value: "http://ada:hunter2@h", says: "password", hidden: "hunter2"},
		{name: "nonsense with a password", option: "server", value: "http://ada:hunter2 %zz@h", says: "cannot be read", hidden: "hunter2"},
		{name: "authorities that are missing", option: "tls-ca", value: nothing, says: nothing},
		{name: "authorities that are none", option: "tls-ca", value: noPEM, says: noPEM},
		{name: "certificate without key", option: "tls-cert", value: noPEM, says: "--tls-key"},
		{name: "key without certificate", option: "tls-key", value: noPEM, says: "--tls-cert"},
		{name: "certificate that is missing", option: "tls-cert", value: nothing, more: []string{"--tls-key", nothing}, says: nothing},
		{name: "token that no header takes", option: "token", value: "stint_a\nhunter2", says: "character", hidden: "hunter2"},
		{name: "no scheme to report to", option: "report-to", value: "localhost:1/x", says: "http://"},
		{name: "query to report to", option: "report-to", value: "http://h/?x=1", says: "query"},
		{name: "password to report to", option: "report-to", value: "ftp://ada:hunter2@h", says: "http://", hidden: "hunter2"},
		{name: "nonsense to report to", option: "report-to", value: "http://ada:hunter2 %zz@h", says: "cannot be read", hidden: "hunter2"},
	} {
		for _, way := range []string{"flag", "environment"} {
			t.Run(tt.name+" by "+way, func(t *testing.T) {
				h := newHost(t)
				name := strings.ReplaceAll(tt.name, " ", "-") + "-" + way
				args := []string{"run", "--job", name}
				if tt.option != "server" {
					args = append(args, "--server", s.url)
				}
				args = append(args, tt.more...)
				source := "STINT_" + strings.ToUpper(strings.ReplaceAll(tt.option, "-", "_"))
				if way == "flag" {
					source = "--" + tt.option
					args = append(args, source, tt.value)
				}
				cmd := h.command(stint, append(args, "--", "sh", "-c", "echo out; exit 3")...)
				if way == "environment" {
					cmd.Env = append(cmd.Env, source+"="+tt.value)
				}
				got := finish(t, cmd)
				if got.code != 3 || got.stdout != "out\n" {
					t.Fatalf("%+v", got)
				}
				if strings.Count(got.stderr, "\n") != 1 || !strings.HasPrefix(got.stderr, "stint: "+source+": ") || !strings.Contains(got.stderr, tt.says) {
					t.Errorf("stderr is %q, want one line that begins with %s and says %q", got.stderr, source, tt.says)
				}
				if tt.hidden != "" && strings.Contains(got.stderr, tt.hidden) {
					t.Errorf("the secret is shown: %s", got.stderr)
				}
				if tt.option != "report-to" {
					flushed := h.run("flush", "--json", "--server", s.url)
					if flushed.code != 0 || strings.Count(flushed.stdout, `"delivered": true`) != 1 {
						t.Errorf("flush: %+v", flushed)
					}
				}
				if r := s.ended(name + "#1"); r.State != job.Failed || r.Outcome.ExitCode == nil || *r.Outcome.ExitCode != 3 || !r.Output.Complete {
					t.Errorf("the run is %+v", r)
				}
			})
		}
	}
}

// What waits for want of an address that can be used goes out with the next run, too.
func TestNextRunDeliversWhatHadNoAddress(t *testing.T) {
	s, h := startServer(t), newHost(t)
	if got := h.run("run", "--server", "localhost:7846", "--job", "first", "--", "true"); got.code != 0 {
		t.Fatalf("%+v", got)
	}
	second := h.command(stint, "run", "--server", s.url, "--job", "second", "--", "sleep", "100")
	if err := second.Start(); err != nil {
		t.Fatal(err)
	}
	s.ended("first#1")
	if err := second.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	_ = second.Wait() // it was stopped
}

// Mistakes in what describes the job are still refused before it starts.
func TestMistakesAboutTheJobAreRefused(t *testing.T) {
	h := newHost(t)
	for _, args := range [][]string{
		{"run", "--timeout", "abc", "--", "echo", "ran"},
		{"run", "--nosuch", "--", "echo", "ran"},
		{"run", "--server"},
	} {
		if got := h.run(args...); got.code != 2 || got.stdout != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
}
