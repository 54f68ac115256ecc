package ping

import (
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestPlanCheck(t *testing.T) {
	now := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { at := now.Add(-d); return &at }
	begun := func(d time.Duration) job.Run {
		return job.Run{ID: "r", State: job.Running, CreatedAt: *ago(d), Labels: map[string]string{beganLabel: string(callStarted)}}
	}
	ended := func(state job.State, code *int, d time.Duration) job.Run {
		run := begun(d)
		run.State, run.EndedAt, run.Outcome = state, ago(d), &job.Outcome{State: state, ExitCode: code}
		return run
	}
	zero, three := 0, 3
	start, success := signal{call: callStarted}, signal{call: callCompleted}
	fail := signal{call: callFailed, code: &three}
	rid := func(s signal) signal { s.rid = "x"; return s }
	for name, c := range map[string]struct {
		s     signal
		last  job.Run
		pulse bool
		want  checkPlan // with an empty outcome for any
	}{
		"the first start":                 {start, job.Run{}, false, checkPlan{begin: true, output: true}},
		"a start while one is open":       {start, begun(time.Minute), false, checkPlan{endPrevious: true, begin: true, output: true}},
		"a start that is repeated":        {start, begun(time.Second), false, checkPlan{}},
		"a start with an open rid":        {rid(start), begun(time.Hour), false, checkPlan{}},
		"a start with a rid that ended":   {rid(start), ended(job.Succeeded, &zero, time.Hour), false, checkPlan{begin: true, output: true}},
		"the end":                         {success, begun(time.Minute), false, checkPlan{output: true, end: &job.Outcome{}}},
		"the end, of a frequent job":      {success, begun(time.Minute), true, checkPlan{output: true, end: &job.Outcome{}}},
		"a failure":                       {fail, begun(time.Minute), true, checkPlan{output: true, end: &job.Outcome{}}},
		"the end after 8 days":            {success, begun(8 * 24 * time.Hour), false, checkPlan{endPrevious: true, begin: true, output: true, end: &job.Outcome{}}},
		"a success without a start":       {success, job.Run{}, false, checkPlan{begin: true, output: true, end: &job.Outcome{}}},
		"a pulse":                         {success, ended(job.Succeeded, &zero, time.Minute), true, checkPlan{pulse: true}},
		"a pulse soon after another":      {success, ended(job.Succeeded, &zero, time.Second), true, checkPlan{pulse: true}},
		"a failure of a frequent job":     {fail, ended(job.Succeeded, &zero, time.Minute), true, checkPlan{begin: true, output: true, end: &job.Outcome{}}},
		"a success that is repeated":      {success, ended(job.Succeeded, &zero, time.Second), false, checkPlan{}},
		"a success soon after a failure":  {success, ended(job.Failed, &three, time.Second), false, checkPlan{begin: true, output: true, end: &job.Outcome{}}},
		"another exit code":               {signal{call: callFailed}, ended(job.Failed, &three, time.Second), false, checkPlan{begin: true, output: true, end: &job.Outcome{}}},
		"the end of a rid, repeated late": {rid(fail), ended(job.Failed, &three, 24*time.Hour), false, checkPlan{}},
		"output":                          {signal{call: callLog}, begun(time.Minute), false, checkPlan{output: true}},
		"output of nothing":               {signal{call: callLog}, ended(job.Succeeded, &zero, time.Minute), true, checkPlan{}},
	} {
		got := planCheck(c.s, c.last, c.pulse, now)
		if (got.end == nil) != (c.want.end == nil) {
			t.Errorf("%s: end %+v", name, got.end)
		}
		got.end, c.want.end = nil, nil
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestSignalOf(t *testing.T) {
	for text, want := range map[string]struct {
		call      call
		code      int // -1 for none
		ok, valid bool
	}{
		"": {callCompleted, -1, true, true}, "start": {callStarted, -1, true, true}, "fail": {callFailed, -1, true, true}, "log": {callLog, -1, true, true},
		"0": {callCompleted, 0, true, true}, "1": {callFailed, 1, true, true}, "255": {callFailed, 255, true, true}, "007": {callFailed, 7, true, true},
		"256": {"", -1, true, false}, "99999999999999999999": {"", -1, true, false}, "-1": {"", -1, false, true}, "+1": {"", -1, false, true}, "stop": {"", -1, false, true},
	} {
		s, ok, valid := signalOf(text)
		code := -1
		if s.code != nil {
			code = *s.code
		}
		if s.call != want.call || code != want.code || ok != want.ok || valid != want.valid {
			t.Errorf("%q: %+v, %d, %t, %t", text, s, code, ok, valid)
		}
	}
}
