package api

import (
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestLateRuns(t *testing.T) {
	night := time.Date(2026, 3, 1, 1, 10, 0, 0, time.UTC)
	var all, other LateRuns
	all.Add(night.Add(time.Hour), job.Failed)
	all.Add(night, job.Succeeded)
	other.Add(night.Add(200*time.Minute), job.Lost)
	other.Add(night.Add(30*time.Minute), job.Canceled)
	for range 3 {
		other.Add(night.Add(30*time.Minute), job.Succeeded)
	}
	all.Join(other)
	var one, bad LateRuns
	one.Add(night, job.Succeeded)
	bad.Add(night, job.TimedOut)
	for _, tt := range []struct {
		l    LateRuns
		at   time.Time
		want string
	}{
		{all, night.Add(5 * time.Hour), "7 runs from 01:10 to 04:30 arrived late, 2 of them failed"},
		{all, night.Add(24 * time.Hour), "7 runs from 2026-03-01 01:10 to 2026-03-01 04:30 arrived late, 2 of them failed"},
		{one, night, "1 run from 01:10 arrived late"},
		{bad, night, "1 run from 01:10 arrived late, and it failed"},
	} {
		if got := tt.l.Sentence(tt.at); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
}
