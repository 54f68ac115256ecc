package keepopts

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/internal/keep"
	"stint.dev/stint/internal/store/retention"
)

func TestPreview(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	plan := func(limits keep.Limits) *retention.Preview {
		p := &keep.Plan{Now: at, Limits: limits}
		for i := range 3 {
			end := at.Add(-time.Duration(i+1) * time.Hour)
			p.Add(keep.Run{ID: string(rune('a' + i)), Job: "nightly", StartAt: end, CreatedAt: end, EndedAt: end, Ended: true, Bytes: 1 << 20})
		}
		return &retention.Preview{Plan: p, Tallies: p.Finish()}
	}
	some := plan(keep.Limits{{Rule: keep.Days}: keep.OfDays(40), {Job: "nightly", Rule: keep.Runs}: 1})
	some.Waits = map[keep.Setting]time.Duration{{Job: "nightly", Rule: keep.Runs}: keep.Delay}
	for _, c := range []struct {
		got  *retention.Preview
		want string
	}{
		{plan(keep.Limits{{Rule: keep.Days}: 0}), "no setting limits what is kept\nin all: 0 runs of 3 that have ended, of 0 jobs, 0 B; nothing was deleted\n"},
		{some, "--keep-days (40 days): nothing\n" +
			"keep.runs of job \"nightly\" (1 run): 2 runs of 1 job, 2 MiB, ended from 2026-03-01 09:00 to 2026-03-01 10:00 UTC; waits for 24 h, because it is more than a tenth of all at once\n" +
			"in all: 2 runs of 3 that have ended, of 1 job, 2 MiB; nothing was deleted\n"},
	} {
		if diff := cmp.Diff(c.want, Preview(c.got)); diff != "" {
			t.Error("(-want +got)", diff)
		}
	}
}
