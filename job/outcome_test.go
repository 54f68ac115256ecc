package job_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

func code(n int) *int { return &n }

var oom = &job.OOM{
	LimitBytes: 2 << 30, PeakBytes: 2136746229, Kills: 1, Victim: "python", VictimPID: 4312,
	At: time.Date(2026, 3, 1, 12, 3, 11, 0, time.UTC),
}

var closedPipe = &job.ClosedOutput{What: "stdout", Signal: "SIGPIPE", SignalNo: 13}

var classified = []struct {
	name string
	in   job.Ending
	want job.Outcome
	exit int
}{
	{
		"success",
		job.Ending{Step: "command", Kind: job.CommandStep},
		job.Outcome{State: job.Succeeded, Reason: job.ExitCode, ExitCode: code(0), Step: "command", Message: "Exited with code 0."},
		0,
	},
	{
		"exit code",
		job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: 3},
		job.Outcome{State: job.Failed, Reason: job.ExitCode, ExitCode: code(3), Step: "command", Message: "Exited with code 3."},
		3,
	},
	{
		"signal with core",
		job.Ending{Step: "command", Kind: job.CommandStep, Signal: "SIGSEGV", SignalNo: 11, Core: true},
		job.Outcome{
			State: job.Failed, Reason: job.BySignal, Signal: "SIGSEGV", SignalNumber: 11, CoreDumped: true, Step: "command",
			Message: "Ended by signal SIGSEGV, core dumped.",
		},
		139,
	},
	{
		"the reader closed stdout",
		job.Ending{Step: "command", Kind: job.CommandStep, Signal: "SIGPIPE", SignalNo: 13, Closed: closedPipe},
		job.Outcome{
			State: job.Canceled, Reason: job.OutputClosed, Signal: "SIGPIPE", SignalNumber: 13, Step: "command",
			Message: "The reader of its stdout went away, and SIGPIPE ended it.",
		},
		141,
	},
	{
		"the reader closed stdout, and a shell reports the signal",
		job.Ending{Kind: job.CommandStep, ExitCode: 141, Closed: closedPipe},
		job.Outcome{
			State: job.Canceled, Reason: job.OutputClosed, ExitCode: code(141),
			Message: "The reader of its stdout went away, and SIGPIPE ended it.",
		},
		141,
	},
	{
		"the reader closed the output of an install step",
		job.Ending{Step: "install", Kind: job.InstallStep, Signal: "SIGPIPE", SignalNo: 13, Closed: closedPipe},
		job.Outcome{
			State: job.Canceled, Reason: job.OutputClosed, Signal: "SIGPIPE", SignalNumber: 13, Step: "install",
			Message: "The reader of its stdout went away, and SIGPIPE ended it.",
		},
		141,
	},
	{
		"the reader closed what a terminal prints",
		job.Ending{Kind: job.CommandStep, Signal: "SIGHUP", SignalNo: 1, Closed: &job.ClosedOutput{What: "terminal", Signal: "SIGHUP", SignalNo: 1}},
		job.Outcome{
			State: job.Canceled, Reason: job.OutputClosed, Signal: "SIGHUP", SignalNumber: 1,
			Message: "The reader of its terminal went away, and SIGHUP ended it.",
		},
		129,
	},
	{
		"the reader closed stdout, and the job did not mind",
		job.Ending{Kind: job.CommandStep, Closed: closedPipe},
		job.Outcome{State: job.Succeeded, Reason: job.ExitCode, ExitCode: code(0), Message: "Exited with code 0."},
		0,
	},
	{
		"the reader closed stdout, and the job failed",
		job.Ending{Kind: job.CommandStep, ExitCode: 1, Closed: closedPipe},
		job.Outcome{
			State: job.Failed, Reason: job.ExitCode, ExitCode: code(1),
			Message: "Exited with code 1. The reader of its stdout had gone away before.",
		},
		1,
	},
	{
		"the reader closed stdout, and a stop ended the job",
		job.Ending{Kind: job.CommandStep, Signal: "SIGPIPE", SignalNo: 13, Closed: closedPipe, Stop: &job.StopCause{Reason: job.Timeout, Limit: time.Second}},
		job.Outcome{
			State: job.TimedOut, Reason: job.Timeout, Signal: "SIGPIPE", SignalNumber: 13,
			Message: "Ran into its time limit of 1 s and was stopped.",
		},
		124,
	},
	{
		"SIGPIPE of a pipe inside the job",
		job.Ending{Kind: job.CommandStep, Signal: "SIGPIPE", SignalNo: 13},
		job.Outcome{State: job.Failed, Reason: job.BySignal, Signal: "SIGPIPE", SignalNumber: 13, Message: "Ended by signal SIGPIPE."},
		141,
	},
	{
		"SIGKILL alone is not out of memory",
		job.Ending{Kind: job.CommandStep, Signal: "SIGKILL", SignalNo: 9},
		job.Outcome{State: job.Failed, Reason: job.BySignal, Signal: "SIGKILL", SignalNumber: 9, Message: "Ended by signal SIGKILL."},
		137,
	},
	{
		"out of memory by signal",
		job.Ending{Kind: job.CommandStep, Signal: "SIGKILL", SignalNo: 9, OOM: oom},
		job.Outcome{
			State: job.Failed, Reason: job.OutOfMemory, Signal: "SIGKILL", SignalNumber: 9, OOM: oom,
			Message: "Killed by the kernel: out of memory. Peak 1.99 GiB of 2 GiB at 12:03:11 UTC; the largest process was python (pid 4312).",
		},
		137,
	},
	{
		"out of memory in a child, known by the exit code",
		job.Ending{Kind: job.CommandStep, ExitCode: 1, OOM: &job.OOM{PeakBytes: 1 << 20}},
		job.Outcome{
			State: job.Failed, Reason: job.OutOfMemory, ExitCode: code(1), OOM: &job.OOM{PeakBytes: 1 << 20},
			Message: "Killed by the kernel: out of memory. Peak 1 MiB.",
		},
		1,
	},
	{
		"a child was killed for memory and the command got over it",
		job.Ending{Kind: job.CommandStep, OOM: oom},
		job.Outcome{State: job.Succeeded, Reason: job.ExitCode, ExitCode: code(0), OOM: oom, Message: "Exited with code 0."},
		0,
	},
	{
		"command not found",
		job.Ending{Kind: job.CommandStep, StartErr: &job.StartError{Path: "pyhton", Errno: "ENOENT", Hint: "did you mean python?", Text: "no such file"}},
		job.Outcome{
			State: job.Failed, Reason: job.CouldNotStart, Errno: "ENOENT",
			Message: "Could not start pyhton: no such file (ENOENT); did you mean python?",
		},
		127,
	},
	{
		"not executable",
		job.Ending{Kind: job.CommandStep, StartErr: &job.StartError{Path: "x.sh", Errno: "EACCES", Text: "permission denied"}},
		job.Outcome{State: job.Failed, Reason: job.CouldNotStart, Errno: "EACCES", Message: "Could not start x.sh: permission denied (EACCES)."},
		126,
	},
	{
		"could not start for a reason without a number",
		job.Ending{Kind: job.CommandStep, StartErr: &job.StartError{Path: "x", Text: "no memory"}},
		job.Outcome{State: job.Failed, Reason: job.CouldNotStart, Message: "Could not start x: no memory."},
		126,
	},
	{
		"timeout",
		job.Ending{Kind: job.CommandStep, Signal: "SIGTERM", SignalNo: 15, Stop: &job.StopCause{Reason: job.Timeout, Limit: time.Minute}},
		job.Outcome{
			State: job.TimedOut, Reason: job.Timeout, Signal: "SIGTERM", SignalNumber: 15,
			Message: "Ran into its time limit of 1 m and was stopped.",
		},
		124,
	},
	{
		"timeout while a memory kill happens too",
		job.Ending{Kind: job.CommandStep, Signal: "SIGKILL", SignalNo: 9, OOM: oom, Stop: &job.StopCause{Reason: job.NoOutput, Limit: time.Second}},
		job.Outcome{
			State: job.TimedOut, Reason: job.NoOutput, Signal: "SIGKILL", SignalNumber: 9, OOM: oom,
			Message: "Printed nothing for 1 s and was stopped.",
		},
		124,
	},
	{
		"no progress",
		job.Ending{Kind: job.CommandStep, Stop: &job.StopCause{Reason: job.NoProgress, Limit: time.Hour}},
		job.Outcome{
			State: job.TimedOut, Reason: job.NoProgress, ExitCode: code(0),
			Message: "Made no progress (no output, no CPU, no IO) for 1 h and was stopped.",
		},
		124,
	},
	{
		"install timeout",
		job.Ending{Step: "install 1", Kind: job.InstallStep, Signal: "SIGTERM", SignalNo: 15, Stop: &job.StopCause{Reason: job.InstallTimeout, Limit: time.Minute}},
		job.Outcome{
			State: job.TimedOut, Reason: job.InstallTimeout, Signal: "SIGTERM", SignalNumber: 15, Step: "install 1",
			Message: "Ran into its time limit of 1 m and was stopped.",
		},
		124,
	},
	{
		"canceled by a person",
		job.Ending{Kind: job.CommandStep, Signal: "SIGTERM", SignalNo: 15, Stop: &job.StopCause{Reason: job.ByCancel, By: "ada", Why: "wrong data"}},
		job.Outcome{
			State: job.Canceled, Reason: job.ByCancel, By: "ada", Signal: "SIGTERM", SignalNumber: 15,
			Message: "Canceled by ada: wrong data.",
		},
		143,
	},
	{
		"canceled, and the job ended in good order",
		job.Ending{Kind: job.CommandStep, Stop: &job.StopCause{Reason: job.ByCancel, Why: "Enough!"}},
		job.Outcome{State: job.Canceled, Reason: job.ByCancel, ExitCode: code(0), Message: "Canceled: Enough!"},
		0,
	},
	{
		"the agent was asked to stop",
		job.Ending{Kind: job.CommandStep, Signal: "SIGTERM", SignalNo: 15, Stop: &job.StopCause{Reason: job.AgentStopped, By: "signal SIGTERM"}},
		job.Outcome{
			State: job.Canceled, Reason: job.AgentStopped, By: "signal SIGTERM", Signal: "SIGTERM", SignalNumber: 15,
			Message: "The agent was asked to end by signal SIGTERM, and stopped the job first.",
		},
		143,
	},
	{
		"superseded",
		job.Ending{Kind: job.CommandStep, ExitCode: 1, Stop: &job.StopCause{Reason: job.Superseded}},
		job.Outcome{
			State: job.Canceled, Reason: job.Superseded, ExitCode: code(1),
			Message: "A newer attempt owns this run; this one was stopped.",
		},
		1,
	},
	{
		"install failed",
		job.Ending{Step: "install 1", Kind: job.InstallStep, ExitCode: 2},
		job.Outcome{
			State: job.Failed, Reason: job.InstallFailed, ExitCode: code(2), Step: "install 1",
			Message: `Install step "install 1" failed: Exited with code 2. The command was not started.`,
		},
		2,
	},
	{
		"install killed for memory",
		job.Ending{Step: "install 1", Kind: job.InstallStep, Signal: "SIGKILL", SignalNo: 9, OOM: &job.OOM{PeakBytes: 512}},
		job.Outcome{
			State: job.Failed, Reason: job.InstallFailed, Signal: "SIGKILL", SignalNumber: 9, Step: "install 1", OOM: &job.OOM{PeakBytes: 512},
			Message: `Install step "install 1" failed: Killed by the kernel: out of memory. Peak 512 B. The command was not started.`,
		},
		137,
	},
	{
		"install canceled",
		job.Ending{Step: "install 1", Kind: job.InstallStep, Signal: "SIGINT", SignalNo: 2, Stop: &job.StopCause{Reason: job.ByCancel, By: "Ctrl-C"}},
		job.Outcome{
			State: job.Canceled, Reason: job.ByCancel, By: "Ctrl-C", Signal: "SIGINT", SignalNumber: 2, Step: "install 1",
			Message: "Canceled by Ctrl-C.",
		},
		130,
	},
}

// What a stop could not end is reported in place of what it did, and a process that lives on has
// no exit code.
func TestClassifyWhatCouldNotBeStopped(t *testing.T) {
	const who = "sleep (pid 7) runs as root"
	for cause, want := range map[*job.StopCause]string{
		{Reason: job.Timeout, Limit: time.Second}:                "Ran into its time limit of 1 s and could not be stopped: " + who + ".",
		{Reason: job.NoOutput, Limit: time.Second}:               "Printed nothing for 1 s and could not be stopped: " + who + ".",
		{Reason: job.NoProgress, Limit: time.Second, Why: "why"}: "Made no progress (why) for 1 s and could not be stopped: " + who + ".",
		{Reason: job.AgentStopped, By: "signal SIGTERM"}:         "The agent was asked to end by signal SIGTERM, and could not stop the job: " + who + ".",
		{Reason: job.Superseded}:                                 "A newer attempt owns this run; this one could not be stopped: " + who + ".",
		{Reason: job.ByCancel, By: "ada", Why: "no need"}:        "Canceled by ada: no need; the job could not be stopped: " + who + ".",
	} {
		o := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, Stop: cause, Alive: true, Unstopped: who})
		if o.Message != want || o.ExitCode != nil || o.Reason != cause.Reason {
			t.Errorf("%+v", o)
		}
	}
	if o := job.Classify(job.Ending{ExitCode: 3, Unstopped: who}); o.Message != "Exited with code 3." {
		t.Errorf("nobody stopped it: %+v", o)
	}
}

func TestClassify(t *testing.T) {
	for _, c := range classified {
		t.Run(c.name, func(t *testing.T) {
			got := job.Classify(c.in)
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("Classify (-want +got):\n%s", diff)
			}
			if got := got.ProcessExitCode(); got != c.exit {
				t.Errorf("ProcessExitCode() = %d, want %d", got, c.exit)
			}
		})
	}
}

// Whatever the facts, an outcome is final, says why, and gives a valid exit code that is 0
// only where the command itself reported it.
func TestClassifyAnyEnding(t *testing.T) {
	reasons := []job.Reason{job.ByCancel, job.AgentStopped, job.Superseded, job.Timeout, job.InstallTimeout, job.NoOutput, job.NoProgress}
	rapid.Check(t, func(t *rapid.T) {
		e := job.Ending{
			Step: rapid.String().Draw(t, "step"),
			Kind: rapid.SampledFrom([]job.StepKind{job.InstallStep, job.CommandStep}).Draw(t, "kind"),
		}
		switch rapid.IntRange(0, 2).Draw(t, "way") {
		case 0:
			e.StartErr = &job.StartError{Errno: rapid.SampledFrom([]string{"", "ENOENT", "ENOTDIR", "EACCES", "ENOEXEC"}).Draw(t, "errno"), Text: "x"}
		case 1:
			e.SignalNo = rapid.IntRange(1, 64).Draw(t, "signal")
			e.Signal = "SIG"
		default:
			e.ExitCode = rapid.IntRange(0, 255).Draw(t, "code")
		}
		if rapid.Bool().Draw(t, "oom") {
			e.OOM = oom
		}
		if e.StartErr == nil && rapid.Bool().Draw(t, "stop") {
			e.Stop = &job.StopCause{Reason: rapid.SampledFrom(reasons).Draw(t, "reason")}
		}
		o := job.Classify(e)
		if !o.State.Terminal() || o.Reason == "" || !strings.ContainsAny(o.Message[len(o.Message)-1:], ".!?") {
			t.Fatalf("not a final, explained outcome: %+v", o)
		}
		if (o.State == job.Succeeded) != (e.StartErr == nil && e.Stop == nil && e.Signal == "" && e.ExitCode == 0) {
			t.Fatalf("%+v became %s", e, o.State)
		}
		exit := o.ProcessExitCode()
		if exit < 0 || exit > 255 {
			t.Fatalf("exit code %d from %+v", exit, o)
		}
		if exit == 0 && (o.ExitCode == nil || *o.ExitCode != 0) {
			t.Fatalf("exit code 0 although %+v", o)
		}
	})
}

func TestUnfinished(t *testing.T) {
	at := time.Date(2026, 3, 1, 13, 0, 5, 9, time.FixedZone("CET", 3600))
	for rebooted, want := range map[bool]job.Reason{true: job.HostRebooted, false: job.AgentLost} {
		o := job.Unfinished(rebooted, at)
		if o.State != job.Lost || o.Reason != want || !strings.Contains(o.Message, "2026-03-01 12:00:05 UTC") {
			t.Errorf("Unfinished(%v) = %+v", rebooted, o)
		}
		if got := o.ProcessExitCode(); got != 125 {
			t.Errorf("ProcessExitCode() = %d, want 125 where nobody knows", got)
		}
	}
}

// The names in JSON are the API's: a change of one must be seen by its author.
func TestOutcomeJSON(t *testing.T) {
	got, err := json.Marshal(job.Classify(job.Ending{Step: "command", Signal: "SIGKILL", SignalNo: 9, OOM: oom}))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"state":"failed","reason":"out_of_memory","exit_code":null,"signal":"SIGKILL","signal_number":9,"step":"command",` +
		`"oom":{"limit_bytes":2147483648,"peak_bytes":2136746229,"kills":1,"victim":"python","victim_pid":4312,"at":"2026-03-01T12:03:11Z"},` +
		`"message":"Killed by the kernel: out of memory. Peak 1.99 GiB of 2 GiB at 12:03:11 UTC; the largest process was python (pid 4312)."}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("outcome as JSON (-want +got):\n%s", diff)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		0: "0 B", -5: "-5 B", 1: "1 B", 1023: "1023 B", 1024: "1 KiB", 1536: "1.5 KiB",
		1<<20 - 1: "1 MiB", 1 << 20: "1 MiB", 1023 << 10: "1023 KiB", 1<<20 - 400: "1 MiB",
		150 << 20: "150 MiB", 2136746229: "1.99 GiB", 5 << 40: "5 TiB", math.MaxInt64: "8 EiB",
	} {
		if got := job.Bytes(n); got != want {
			t.Errorf("Bytes(%d) = %q, want %q", n, got, want)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.Int64Min(0).Draw(t, "n")
		s := job.Bytes(n)
		if len(s) > 8 || strings.HasPrefix(s, "1024 ") || strings.Contains(s, "e+") {
			t.Fatalf("Bytes(%d) = %q", n, s)
		}
	})
}
