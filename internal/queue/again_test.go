package queue

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

func TestAgain(t *testing.T) {
	type pairs = map[string]string
	defined := &job.Submission{
		Definition: "abcd", Given: pairs{"DAY": "2026-11-27", "SCALE": "2"}, Parameters: pairs{"DAY": "2026-11-27", "SCALE": "2", "FORMAT": "pdf"},
		Priority: job.PriorityHigh, Group: "db", Requires: pairs{"zone": "fra", "gpu": "true"}, Key: "k", After: []job.Dependency{{Run: runID, When: WhenEnded}},
	}
	command := &job.Submission{Priority: job.PriorityLow, Group: "db", Requires: pairs{"zone": "fra"}}
	for name, tc := range map[string]struct {
		r    job.SubmitRequest
		was  *job.Submission
		spec job.Spec
		d    Defined
		want job.SubmitRequest // without a job: refused
	}{
		"one value changed": {
			r: job.SubmitRequest{Parameters: pairs{"SCALE": "3"}}, was: defined, spec: job.Spec{Labels: pairs{"by": "ci"}, Env: pairs{"FORMAT": "pdf"}},
			d:    Defined{Priority: job.PriorityHigh, Requires: pairs{"gpu": "true"}},
			want: job.SubmitRequest{Job: "a", Parameters: pairs{"DAY": "2026-11-27", "SCALE": "3"}, Labels: pairs{"by": "ci"}, Requires: pairs{"zone": "fra"}},
		},
		"all changed": {
			r: job.SubmitRequest{
				Version: "ef01", Parameters: pairs{"DAY": "1", "SCALE": "1", "NEW": ""}, Labels: pairs{"by": "me"}, Requires: pairs{"zone": "ber"},
				Priority: job.PriorityNormal, Key: "k2", DelayMS: 5, Overlap: "skip",
			},
			was: defined, spec: job.Spec{Labels: pairs{"by": "ci"}}, d: Defined{Requires: pairs{"gpu": "true"}},
			want: job.SubmitRequest{
				Job: "a", Version: "ef01", Parameters: pairs{"DAY": "1", "SCALE": "1", "NEW": ""}, Labels: pairs{"by": "me"}, Requires: pairs{"zone": "ber"},
				Priority: job.PriorityNormal, Key: "k2", DelayMS: 5, Overlap: "skip",
			},
		},
		"the definition is gone": {
			was:  defined,
			want: job.SubmitRequest{Job: "a", Parameters: pairs{"DAY": "2026-11-27", "SCALE": "2"}, Requires: pairs{"zone": "fra", "gpu": "true"}, Priority: job.PriorityHigh},
		},
		"a command": {
			was: command, spec: job.Spec{Version: 1, Args: []string{"true"}, Dir: "/", Labels: pairs{"by": "ci"}},
			want: job.SubmitRequest{
				Job: "a", Command: &job.Spec{Version: 1, Args: []string{"true"}, Dir: "/"}, Labels: pairs{"by": "ci"}, Requires: pairs{"zone": "fra"},
				Group: "db", Priority: job.PriorityLow,
			},
		},
		"another group":    {r: job.SubmitRequest{Group: "g"}, was: &job.Submission{Priority: job.PriorityNormal, Group: "db"}, want: job.SubmitRequest{Job: "a", Command: &job.Spec{}, Group: "g"}},
		"started by hand":  {},
		"another job":      {r: job.SubmitRequest{Job: "b"}, was: defined},
		"another command":  {r: job.SubmitRequest{Command: &job.Spec{}}, was: command},
		"secret variables": {was: command, spec: job.Spec{Env: pairs{"PASSWORD": "hunter2"}}},
	} {
		r := tc.r
		r.Again = runID
		if r.Job == "" {
			r.Job = "a"
		}
		got, err := Again(r, job.Run{Job: "a", Number: 1, Submitted: tc.was}, tc.spec, tc.d)
		if tc.want.Job == "" {
			var bad *job.InvalidError
			if !errors.As(err, &bad) || bad.What != "again" {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
			continue
		}
		if diff := cmp.Diff(tc.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v (-want +got) %s", name, err, diff)
		}
	}
	if defined.Given["SCALE"] != "2" || len(defined.Requires) != 2 {
		t.Errorf("the run itself was changed: %+v", defined)
	}
}
