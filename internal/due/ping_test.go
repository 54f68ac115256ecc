package due

import (
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestIsFrequent(t *testing.T) {
	now := at("2026-01-02 10:30:00")
	for name, c := range map[string]struct {
		of   job.Expectation
		want bool
	}{
		"each minute":               {job.Expectation{EverySeconds: 60}, true},
		"each hour":                 {job.Expectation{EverySeconds: 3600}, true},
		"longer":                    {job.Expectation{EverySeconds: 3601}, false},
		"each day":                  {Created(), false},
		"a crontab, each hour":      {job.Expectation{Cron: "5 * * * *"}, true},
		"a crontab, each two hours": {job.Expectation{Cron: "5 */2 * * *"}, false},
	} {
		if got := rule(t, c.of).IsFrequent(now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestIsPulse(t *testing.T) {
	now := at("2026-01-02 10:30:00")
	minutely, daily := rule(t, job.Expectation{EverySeconds: 60}), rule(t, Created())
	for name, c := range map[string]struct {
		of   Target
		want bool
	}{
		"the first":              {Target{Rule: minutely, ReportedDay: -1}, false},
		"another one":            {Target{Rule: minutely, ReportedDay: DayOf(now)}, true},
		"after a failure":        {Target{Rule: minutely, ReportedDay: DayOf(now), Failed: true}, false},
		"the first of a day":     {Target{Rule: minutely, ReportedDay: DayOf(now.Add(-24 * time.Hour))}, false},
		"of a job of a long day": {Target{Rule: daily, ReportedDay: DayOf(now)}, false},
	} {
		if got := c.of.IsPulse(now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
