package query

import "testing"

func TestErrorOfAnActiveJobNamesWhatWasDeleted(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  ActiveJobError
		want string
	}{
		{ActiveJobError{Job: "train", Runs: 3}, `3 runs of job "train" are active: cancel them first`},
		{ActiveJobError{Job: "train", Runs: 1}, `1 run of job "train" is active: cancel it first`},
		{ActiveJobError{Job: "train", Runs: 1, Deleted: 1}, `1 run of job "train" is active: cancel it first; 1 that had ended was deleted before`},
		{ActiveJobError{Job: "train", Runs: 2, Deleted: 4}, `2 runs of job "train" are active: cancel them first; 4 that had ended were deleted before`},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.err, got, test.want)
		}
	}
}
