package runcmd

import (
	"testing"
	"time"

	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

func TestDiagnosisText(t *testing.T) {
	line := &job.Evidence{Line: 14, Text: "error: no leader"}
	for _, tt := range []struct {
		d    job.Diagnosis
		want string
	}{
		{job.Diagnosis{Sentence: "error: no leader", Evidence: line}, "error: no leader\n"},
		{job.Diagnosis{Sentence: "Something outside sent it SIGTERM.", Evidence: line}, "Something outside sent it SIGTERM.\nline 14: error: no leader\n"},
		{job.Diagnosis{Sentence: "Exited with code 3.", Evidence: line}, "line 14: error: no leader\n"}, // as the outcome says
		{job.Diagnosis{Sentence: "It crashed."}, "It crashed.\n"},
	} {
		if got := diagnosisText(&tt.d, "Exited with code 3.", console.Style{}, 0); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.d, got, tt.want)
		}
	}
}

// The time of a step goes on while its run does, and of a lost run nobody knows when it ended.
func TestTimeOfAStep(t *testing.T) {
	begun := time.Unix(1000, 0)
	ended := begun.Add(2 * time.Second)
	for _, tt := range []struct {
		ended *time.Time
		run   job.State
		want  string
	}{
		{&ended, job.Succeeded, "2 s"},
		{&ended, job.Running, "2 s"},
		{nil, job.Running, "1 m 40 s"},
		{nil, job.Lost, "?"},
		{nil, job.Canceled, "?"},
	} {
		if got := stepTime(job.Step{StartedAt: begun, EndedAt: tt.ended}, tt.run, begun.Add(100*time.Second)); got != tt.want {
			t.Errorf("of a run that is %s: %q, want %q", tt.run, got, tt.want)
		}
	}
}
