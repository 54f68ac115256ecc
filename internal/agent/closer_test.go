package agent

import (
	"testing"

	"stint.dev/stint/job"
)

// A reader that has gone away before the job begins is gone for every step, and for every
// attempt.
func TestOutputThatIsClosedFromTheStart(t *testing.T) {
	const prints = "while echo more; do :; done; exit 9"
	for name, tc := range map[string]struct {
		install []string
		steps   int
	}{
		"the command":                 {nil, 1},
		"an install step":             {[]string{prints}, 1},
		"behind a quiet install step": {[]string{"true"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newMemoryServer()
			c, messages := config(t, s, prints)
			outR, outW, _, errW := pipes(t)
			c.Install, c.Quiet, c.Stdout, c.Stderr = tc.install, false, outW, errW
			c.Retry.Most = 3
			outR.Close()
			got := Supervise(t.Context(), c)
			if got.ExitCode != 141 || got.Outcome.State != job.Canceled || got.Outcome.Reason != job.OutputClosed || !got.Complete {
				t.Errorf("result %+v, messages %q", got, messages.text())
			}
			if v := s.read(t, testRun); len(v.ended) != tc.steps || v.attempt.Attempt != 1 {
				t.Errorf("attempt %d, %d steps", v.attempt.Attempt, len(v.ended))
			}
		})
	}
}

// What --quiet does not pass on has no reader that could go away.
func TestQuietOutputHasNoReader(t *testing.T) {
	s := newMemoryServer()
	c, _ := config(t, s, "seq 100000")
	outR, outW, _, errW := pipes(t)
	c.Stdout, c.Stderr = outW, errW
	outR.Close()
	if got := Run(t.Context(), c); got.ExitCode != 0 || !got.Complete {
		t.Errorf("result %+v", got)
	}
}
