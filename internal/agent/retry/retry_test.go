package retry

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

// What a retry cannot help, and what somebody meant, is not tried again.
func TestNoRetry(t *testing.T) {
	p := Policy{Most: 3, Backoff: time.Second}
	now := time.Unix(0, 0)
	for _, o := range []job.Outcome{
		{State: job.Succeeded},
		{State: job.Canceled, Reason: job.ByCancel},
		{State: job.Canceled, Reason: job.AgentStopped},
		{State: job.Canceled, Reason: job.Superseded},
		{State: job.Failed, Reason: job.CouldNotStart},
	} {
		if at := p.At(o, 1, now); !at.IsZero() {
			t.Errorf("%+v is tried again", o)
		}
	}
	for _, o := range []job.Outcome{{State: job.Failed, Reason: job.ExitCode}, {State: job.TimedOut}, {State: job.Failed, Reason: job.InstallFailed}} {
		if at := p.At(o, 1, now); !at.Equal(now.Add(2 * time.Second)) {
			t.Errorf("%+v: %v", o, at)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		first := time.Duration(rapid.Int64Range(0, int64(48*time.Hour)).Draw(t, "first"))
		done := rapid.IntRange(0, job.MaxAttempt).Draw(t, "done")
		if got := backoffAfter(first, done); got < first || got > max(first, backoffLimit) {
			t.Fatalf("%s after %d of %s", got, done, first)
		}
	})
}

func TestWhenTheNextAttemptBegins(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Minute: "now", 0: "now", 400 * time.Millisecond: "now",
		600 * time.Millisecond: "in 1 s", 10 * time.Second: "in 10 s", 2 * time.Minute: "in 2 m",
	} {
		if got := StartText(d); got != want {
			t.Errorf("%s: %q, want %q", d, got, want)
		}
	}
}
