package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

func TestOpenFailures(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	end := func(number int64, state job.State, known int) End {
		return End{Number: number, State: state, KnownAt: at(known)}
	}
	late := func(e End) End { e.Late = true; return e }
	for name, tt := range map[string]struct {
		ends   []End // the last start first
		passed int
		want   []int64
	}{
		"none":                   {nil, 0, nil},
		"a good run":             {[]End{end(1, job.Succeeded, 1)}, 0, nil},
		"a failure":              {[]End{end(1, job.Failed, 1)}, 0, []int64{1}},
		"a lost run":             {[]End{end(1, job.Lost, 1)}, 0, []int64{1}},
		"a canceled run between": {[]End{end(2, job.Canceled, 2), end(1, job.TimedOut, 1)}, 0, []int64{1}},
		"two":                    {[]End{end(2, job.Lost, 2), end(1, job.Failed, 1)}, 0, []int64{2, 1}},
		"a success between two":  {[]End{end(3, job.Failed, 3), end(2, job.Succeeded, 2), end(1, job.Failed, 1)}, 0, []int64{3}},
		"two, and a success between known before": {[]End{end(3, job.Failed, 3), end(2, job.Succeeded, 1), end(1, job.Failed, 2)}, 0, []int64{3, 1}},
		"passed":                                 {[]End{end(2, job.Succeeded, 2), end(1, job.Failed, 1)}, 0, nil},
		"failed after a later one had succeeded": {[]End{end(2, job.Succeeded, 1), end(1, job.Failed, 2)}, 0, []int64{1}},
		"passed by the one after that":           {[]End{end(3, job.Succeeded, 3), end(2, job.Succeeded, 1), end(1, job.Failed, 2)}, 0, nil},
		"known at once":                          {[]End{end(2, job.Succeeded, 1), end(1, job.Failed, 1)}, 0, nil},
		"passed by one that started after all":   {[]End{end(1, job.Failed, 1)}, 2, nil},
		"failed after that":                      {[]End{end(1, job.Failed, 3)}, 2, []int64{1}},
		"to be reported":                         {[]End{late(end(2, job.Failed, 2)), end(1, job.Failed, 1)}, 0, []int64{1}},
		"a success to be reported":               {[]End{late(end(2, job.Succeeded, 2)), end(1, job.Failed, 1)}, 0, []int64{1}},
	} {
		var got []int64
		for _, e := range OpenFailures(tt.ends, at(tt.passed)) {
			got = append(got, e.Number)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestArrivalOf(t *testing.T) {
	now := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	const followed, passed = 1, 2
	for name, tt := range map[string]struct {
		ago   time.Duration
		state job.State
		later int // followed: a run that started later has succeeded; passed: one that started when this one had ended
		want  Arrival
	}{
		"at once":                               {0, job.Failed, 0, InTime},
		"soon":                                  {job.LateAfter - 1, job.Failed, 0, InTime},
		"hours later":                           {time.Hour, job.Failed, 0, DeliveredLate},
		"a good run hours later":                {time.Hour, job.Succeeded, 0, DeliveredLate},
		"a failure after a success":             {time.Second, job.Failed, passed, DeliveredLate},
		"a success after a success":             {time.Second, job.Succeeded, passed, InTime},
		"canceled, and a success followed":      {time.Second, job.Canceled, passed, InTime},
		"a failure beside a success":            {time.Second, job.Failed, followed, Overtaken},
		"a time limit beside a success":         {0, job.TimedOut, followed, Overtaken},
		"a failure beside a success, hours ago": {time.Hour, job.Failed, followed, DeliveredLate},
		"a success beside a success":            {time.Second, job.Succeeded, followed, InTime},
		"canceled beside a success":             {time.Second, job.Canceled, followed, InTime},
	} {
		if got := ArrivalOf(now.Add(-tt.ago), now, tt.state, tt.later >= followed, tt.later >= passed); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
	if got := ArrivalOf(time.Time{}, now, job.Lost, false, false); got != InTime {
		t.Errorf("lost now: %d", got)
	}
	if got := ArrivalOf(time.Time{}, now, job.Lost, true, false); got != Overtaken {
		t.Errorf("lost now beside a success: %d", got)
	}
}
