package keep

import "testing"

func TestDeletedCountsRunsJobsAndBytes(t *testing.T) {
	var d Deleted
	if d.Counts() != "" || d.Jobs() != 0 {
		t.Errorf("nothing deleted: %q, %d jobs", d.Counts(), d.Jobs())
	}
	d.Add(Setting{Rule: Runs}, "a", 5)
	d.Add(Setting{Rule: Days}, "a", 7)
	d.Add(Setting{Job: "b", Rule: Runs}, "b", 0)
	if d.Runs != 3 || d.Jobs() != 2 || d.Bytes != 12 || d.Counts() != "--keep-days 1, --keep-runs 1, keep.runs 1" {
		t.Errorf("%d runs of %d jobs, %d bytes: %s", d.Runs, d.Jobs(), d.Bytes, d.Counts())
	}
}
