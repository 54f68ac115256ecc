package defcmd

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// noon is the time of the tests, in a zone of its own.
var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.FixedZone("CET", 3600))

// read parses arguments as stint submit does.
func read(t *testing.T, args ...string) (job.SubmitRequest, error) {
	t.Helper()
	fs := pflag.NewFlagSet("submit", pflag.ContinueOnError)
	opts := option.Register(fs, append(submitRows(), command.JSONRow()))
	if err := fs.Parse(args); err != nil {
		t.Fatal(err)
	}
	if err := opts.Resolve(); err != nil {
		return job.SubmitRequest{}, err
	}
	return readSubmission(opts, fs.Args(), fs.ArgsLenAtDash() == 0, noon)
}

func TestReadSubmission(t *testing.T) {
	at := func(text string) *time.Time {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return &when
	}
	command := func(args ...string) *job.Spec { return &job.Spec{Version: job.SpecVersion, Args: args} }
	for _, c := range []struct {
		args []string
		want job.SubmitRequest
	}{
		{[]string{"report"}, job.SubmitRequest{Job: "report"}},
		{
			[]string{"report", "--param", "DAY=2026-11-27", "--param", "NOTE=a=b", "--label", "by=ci", "--priority", "high", "--key", "order 7", "--require", "zone=fra"},
			job.SubmitRequest{
				Job: "report", Parameters: map[string]string{"DAY": "2026-11-27", "NOTE": "a=b"}, Labels: map[string]string{"by": "ci"},
				Priority: job.PriorityHigh, Key: "order 7", Requires: map[string]string{"zone": "fra"},
			},
		},
		{[]string{"report", "--param", "EMPTY="}, job.SubmitRequest{Job: "report", Parameters: map[string]string{"EMPTY": ""}}},
		{[]string{"report", "--overlap", "skip"}, job.SubmitRequest{Job: "report", Overlap: "skip"}},
		{[]string{"report", "--version", "ab12"}, job.SubmitRequest{Job: "report", Version: "ab12"}},
		{
			[]string{"--again", "report#7", "--param", "DAY=2026-11-28", "--priority", "low", "--version", "ab12"},
			job.SubmitRequest{Again: "report#7", Parameters: map[string]string{"DAY": "2026-11-28"}, Priority: job.PriorityLow, Version: "ab12"},
		},
		{[]string{"report", "--delay", "90s"}, job.SubmitRequest{Job: "report", DelayMS: 90_000}},
		{[]string{"report", "--at", "13:30"}, job.SubmitRequest{Job: "report", NotBefore: at("2026-11-29T12:30:00Z")}},
		{[]string{"report", "--at", "12:00"}, job.SubmitRequest{Job: "report", NotBefore: at("2026-11-30T11:00:00Z")}},
		{[]string{"report", "--at", "2026-12-24 06:00"}, job.SubmitRequest{Job: "report", NotBefore: at("2026-12-24T05:00:00Z")}},
		{[]string{"report", "--at", "2026-12-24T06:00:00Z"}, job.SubmitRequest{Job: "report", NotBefore: at("2026-12-24T06:00:00Z")}},
		{
			[]string{"report", "--after", "etl#7", "--after", "a:b:ended", "--after", "x:failed", "--after", "odd:thing"},
			job.SubmitRequest{Job: "report", After: []job.Dependency{{Run: "etl#7", When: "succeeded"}, {Run: "a:b", When: "ended"}, {Run: "x", When: "failed"}, {Run: "odd:thing", When: "succeeded"}}},
		},
		{[]string{"--", "/usr/bin/python", "train.py", "--epochs", "3"}, job.SubmitRequest{Job: "train", Command: command("/usr/bin/python", "train.py", "--epochs", "3")}},
		{[]string{"--job", "nightly", "--group", "db", "-c", "echo $X | wc"}, job.SubmitRequest{Job: "nightly", Group: "db", Command: command("sh", "-c", "echo $X | wc")}},
		{
			[]string{
				"--install", "make", "--install", "make x", "--install-cache", "lock", "--cache-dir", "out", "--dir", "/srv", "--env", "A=b", "--timeout", "2h",
				"--install-timeout", "1m", "--no-output-timeout", "30s", "--memory-limit", "4GiB", "--cpu-limit", "1.5", "--", "run",
			},
			job.SubmitRequest{Job: "run", Command: &job.Spec{
				Version: job.SpecVersion, Args: []string{"run"}, Install: []string{"make", "make x"}, CacheFiles: []string{"lock"}, CacheDirs: []string{"out"}, Dir: "/srv",
				Env: map[string]string{"A": "b"}, TimeoutMS: 7_200_000, InstallMS: 60_000, NoOutputMS: 30_000, MemoryBytes: 4 << 30, CPUs: 1.5,
			}},
		},
	} {
		got, err := read(t, c.args...)
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v (-want +got)\n%s", c.args, err, diff)
		}
	}
}

func TestWrongSubmissions(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, "needs the JOB to run, or -- COMMAND"},
		{[]string{"--"}, "needs the JOB to run, or -- COMMAND"},
		{[]string{"report", "now"}, "stint submit -- report now"},
		{[]string{"report", "--", "now"}, "stint submit -- report now"},
		{[]string{"a/b"}, "job name"},
		{[]string{"report", "--timeout", "1h"}, `--timeout is for a command: the definition of job "report" says it`},
		{[]string{"report", "--env", "A=b"}, "--env is for a command"},
		{[]string{"report", "-c", "x"}, "choose one"},
		{[]string{"report", "--follow", "--json"}, "--wait"},
		{[]string{"report", "--param", "DAY"}, `--param: "DAY" is not K=V`},
		{[]string{"report", "--param", "DAY=1", "--param", "DAY=2"}, `--param: "DAY" is given twice`},
		{[]string{"report", "--label", "=x"}, "--label"},
		{[]string{"report", "--overlap", "wait"}, "queue, skip and allow"},
		{[]string{"report", "--priority", "urgent"}, "low, normal and high"},
		{[]string{"report", "--delay", "1h", "--at", "12:00"}, "choose one"},
		{[]string{"report", "--at", "tomorrow"}, "write 15:04"},
		{[]string{"report", "--after", "etl#7:never"}, ":succeeded, :ended and :failed"},
		{[]string{"report", "--at", "25:00"}, "write 15:04"},
		{[]string{"--param", "A=b", "--", "x"}, "--env"},
		{[]string{"--dir", "here", "--", "x"}, "absolute path"},
		{[]string{"--job", "a#b", "--", "x"}, "job name"},
		{[]string{"--version", "ab12", "--", "x"}, "--version is for a job"},
		{[]string{"--again", "report#7", "report"}, "give no JOB"},
		{[]string{"--again", "report#7", "--", "x"}, "give no JOB and no COMMAND"},
		{[]string{"--again", "report#7", "-c", "x"}, "give no JOB and no COMMAND"},
		{[]string{"--again", "report#7", "--env", "A=b"}, "--env cannot be combined with --again"},
		{[]string{"--again", "report#7", "--follow", "--json"}, "--wait"},
	} {
		_, err := read(t, c.args...)
		var usage *option.UsageError
		if !errors.As(err, &usage) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%q: %v, want a wrong use that says %q", c.args, err, c.says)
		}
	}
}
