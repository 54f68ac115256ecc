package rules

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
)

// unstarted is a schedule that did not start its job some times, the last for a reason.
func unstarted(times int64, last schedule.Result) Unstarted {
	at := noon.Add(-time.Minute)
	return Unstarted{
		Job: "report", Schedule: 2, When: "30 2 * * *", Times: times, Run: "0199aaaa-0000-7000-8000-000000000001",
		Last: schedule.Slot{At: at, Last: at, Count: 1, Result: last, Why: "report#12 is running"},
	}
}

func TestSchedulesThatDoNotStartTheirJob(t *testing.T) {
	off, often, critical := policy.Default(), policy.Default(), policy.Default()
	off.Skipped.On = false
	often.Skipped.Times = 5
	critical.Actions[policy.Skipped] = policy.Action{Severity: job.Critical}
	before := &job.Finding{Rule: policy.Skipped, Since: noon.Add(-time.Hour)}
	for _, c := range []struct {
		name   string
		u      Unstarted
		before *job.Finding
		policy policy.Policy
		health job.Health // empty for no finding
	}{
		{"once", unstarted(1, schedule.Skipped), nil, policy.Default(), ""},
		{"twice", unstarted(2, schedule.Skipped), nil, policy.Default(), job.Warning},
		{"missed twice", unstarted(2, schedule.Missed), nil, policy.Default(), job.Warning},
		{"refused once", unstarted(1, schedule.Refused), nil, policy.Default(), job.Warning},
		{"skipped after it was refused", unstarted(2, schedule.Skipped), before, often, job.Warning},
		{"it became a run", unstarted(0, ""), before, policy.Default(), ""},
		{"off", unstarted(9, schedule.Refused), before, off, ""},
		{"four of five", unstarted(4, schedule.Skipped), nil, often, ""},
		{"five of five", unstarted(5, schedule.Missed), nil, often, job.Warning},
		{"severity of the policy", unstarted(2, schedule.Skipped), nil, critical, job.Critical},
	} {
		f := JudgeSkipped(c.u, c.before, noon, c.policy)
		if f == nil || c.health == "" {
			if f != nil || c.health != "" {
				t.Errorf("%s: %+v, want %q", c.name, f, c.health)
			}
			continue
		}
		since := noon
		if c.before != nil {
			since = c.before.Since
		}
		if f.Rule != policy.Skipped || f.Health != c.health || !f.Since.Equal(since) || f.Facts["run"] != c.u.Run || f.Facts["times"] != c.u.Times {
			t.Errorf("%s: %+v", c.name, f)
		}
	}
	if got, want := JudgeSkipped(unstarted(3, schedule.Skipped), nil, noon, policy.Default()).Evidence,
		"Schedule 2 (30 2 * * *) did not start report 3 times in a row, the last at "+job.TimeText(noon.Add(-time.Minute))+": skipped: report#12 is running."; got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
	if got := JudgeSkipped(unstarted(1, schedule.Refused), nil, noon, policy.Default()).Evidence; !strings.Contains(got, "did not start report at ") || !strings.Contains(got, ": refused: ") {
		t.Error(got)
	}
}

func TestFindingsOfSchedulesEnd(t *testing.T) {
	off, critical := policy.Default(), policy.Default()
	off.Skipped.On = false
	critical.Actions[policy.Skipped] = policy.Action{Severity: job.Critical}
	skipped := *JudgeSkipped(unstarted(2, schedule.Skipped), nil, noon, policy.Default())
	refused := *JudgeSkipped(unstarted(1, schedule.Refused), nil, noon, policy.Default())
	for _, c := range []struct {
		name            string
		found           job.Finding
		paused, started bool
		policy          policy.Policy
		health          job.Health // empty for an end
	}{
		{"goes on", skipped, false, false, policy.Default(), job.Warning},
		{"started", skipped, false, true, policy.Default(), ""},
		{"paused", skipped, true, false, policy.Default(), ""},
		{"off", skipped, false, false, off, ""},
		{"another severity", skipped, false, false, critical, job.Critical},
		{"refused, and a person started the job", refused, false, true, policy.Default(), job.Warning},
		{"refused and paused", refused, true, false, policy.Default(), ""},
	} {
		f := FollowSkipped(c.found, c.paused, c.started, c.policy)
		if f == nil && c.health != "" || f != nil && f.Health != c.health {
			t.Errorf("%s: %+v, want %q", c.name, f, c.health)
		}
	}
}

func TestNotificationsOfSchedulesThatDoNotStartTheirJob(t *testing.T) {
	found := JudgeSkipped(unstarted(2, schedule.Skipped), nil, noon, policy.Default())
	worse := *found
	worse.Health = job.Critical
	muted := policy.Default()
	muted.Actions[policy.Skipped] = policy.Action{}
	for _, c := range []struct {
		name          string
		before, after *job.Finding
		started       bool
		policy        policy.Policy
		what          string // and what it ends; empty for none
	}{
		{"begins", nil, found, false, policy.Default(), "skipped "},
		{"goes on", found, found, false, policy.Default(), ""},
		{"becomes worse", found, &worse, false, policy.Default(), "skipped "},
		{"becomes better", &worse, found, false, policy.Default(), ""},
		{"ends with a start", found, nil, true, policy.Default(), "recovered skipped"},
		{"ends without a start", found, nil, false, policy.Default(), ""},
		{"muted", nil, found, false, muted, ""},
		{"muted, and ends", found, nil, true, muted, ""},
	} {
		got := ""
		for _, e := range SkippedEntries("report", c.before, c.after, c.started, noon, c.policy) {
			got = e.What + " " + e.Ends
			if e.Job != "report" || !strings.Contains(e.Message, found.Evidence) {
				t.Errorf("%s: %+v", c.name, e)
			}
		}
		if got != c.what {
			t.Errorf("%s: %q, want %q", c.name, got, c.what)
		}
	}
}
