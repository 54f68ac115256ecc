package querycmd

import (
	"testing"

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
		if got := diagnosisText(&tt.d, "Exited with code 3.", console.Style{}); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.d, got, tt.want)
		}
	}
}
