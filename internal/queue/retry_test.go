package queue

import (
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func ended(state job.State, reason job.Reason) job.Outcome {
	return job.Outcome{State: state, Reason: reason}
}

func TestAfter(t *testing.T) {
	hold := 5 * time.Minute
	lost := End{Attempt: 1, Outcome: ended(job.Lost, job.AgentLost), At: noon, LeaseEnd: noon.Add(20 * time.Second), Host: "a"}
	failed := End{Attempt: 1, Outcome: ended(job.Failed, job.ExitCode), Final: true, At: noon, LeaseEnd: noon.Add(20 * time.Second), Host: "a", Memory: 1 << 30}
	with := func(e End, change func(*End)) End { change(&e); return e }
	two := Retries{Limit: 2, Backoff: time.Minute}
	for name, c := range map[string]struct {
		r       Retries
		e       End
		follows bool
		wait    time.Duration
		avoided []string
		memory  int64
	}{
		"failed":                        {two, failed, true, time.Minute, nil, 1 << 30},
		"failed for the second time":    {two, with(failed, func(e *End) { e.Attempt = 2 }), true, 2 * time.Minute, nil, 1 << 30},
		"failed for the third time":     {two, with(failed, func(e *End) { e.Attempt = 3 }), false, 0, nil, 0},
		"no retries":                    {Retries{}, failed, false, 0, nil, 0},
		"succeeded":                     {two, with(failed, func(e *End) { e.Outcome = ended(job.Succeeded, job.ExitCode) }), false, 0, nil, 0},
		"active":                        {two, with(failed, func(e *End) { e.Outcome = job.Outcome{} }), false, 0, nil, 0},
		"timed out":                     {two, with(failed, func(e *End) { e.Outcome = ended(job.TimedOut, job.Timeout) }), false, 0, nil, 0},
		"timed out, and listed":         {Retries{Limit: 1, On: []job.Reason{job.Timeout}}, with(failed, func(e *End) { e.Outcome = ended(job.TimedOut, job.Timeout) }), true, 0, nil, 1 << 30},
		"not listed":                    {Retries{Limit: 1, On: []job.Reason{job.AgentLost}}, failed, false, 0, nil, 0},
		"canceled":                      {two, with(failed, func(e *End) { e.Outcome = ended(job.Canceled, job.ByCancel) }), false, 0, nil, 0},
		"failed while it was canceled":  {two, with(failed, func(e *End) { e.Canceled = true }), false, 0, nil, 0},
		"the reader went away":          {two, with(failed, func(e *End) { e.Outcome = ended(job.Canceled, job.OutputClosed) }), false, 0, nil, 0},
		"superseded":                    {two, with(failed, func(e *End) { e.Outcome = ended(job.Canceled, job.Superseded) }), false, 0, nil, 0},
		"evicted":                       {two, with(failed, func(e *End) { e.Outcome = ended(job.Canceled, job.Evicted) }), true, time.Minute, []string{"a"}, 1 << 30},
		"expired":                       {two, with(failed, func(e *End) { e.Outcome = ended(job.Canceled, job.Expired) }), false, 0, nil, 0},
		"could not install":             {two, with(failed, func(e *End) { e.Outcome = ended(job.Failed, job.InstallFailed) }), true, time.Minute, []string{"a"}, 1 << 30},
		"out of memory":                 {two, with(failed, func(e *End) { e.Outcome = ended(job.Failed, job.OutOfMemory) }), true, time.Minute, []string{"a"}, 1 << 30},
		"out of memory, grows":          {Retries{Limit: 1, Memory: 2}, with(failed, func(e *End) { e.Outcome = ended(job.Failed, job.OutOfMemory) }), true, 0, []string{"a"}, 2 << 30},
		"out of memory without a limit": {Retries{Limit: 1, Memory: 2}, with(failed, func(e *End) { e.Outcome, e.Memory = ended(job.Failed, job.OutOfMemory), 0 }), true, 0, []string{"a"}, 0},
		"out of any memory":             {Retries{Limit: 1, Memory: 16}, with(failed, func(e *End) { e.Outcome, e.Memory = ended(job.Failed, job.OutOfMemory), 1<<62 }), true, 0, []string{"a"}, 1 << 62},
		"lost":                          {Retries{Limit: 1}, lost, true, 20 * time.Second, []string{"a"}, 0},
		"lost, with a longer backoff":   {two, lost, true, time.Minute, []string{"a"}, 0},
		"lost, its lease over":          {Retries{Limit: 1}, with(lost, func(e *End) { e.LeaseEnd = noon.Add(-time.Second) }), true, 0, []string{"a"}, 0},
		"lost, to be held":              {Retries{Limit: 1, Hold: &hold}, lost, true, 20*time.Second + hold, []string{"a"}, 0},
		"lost, its lease over, held":    {Retries{Limit: 1, Hold: &hold}, with(lost, func(e *End) { e.LeaseEnd = noon.Add(-time.Hour) }), true, hold, []string{"a"}, 0},
		"lost, nothing beside it":       {Retries{Limit: 1}, with(lost, func(e *End) { e.Alone = true }), true, 20*time.Second + holdAlone, []string{"a"}, 0},
		"lost, alone, not to be held":   {Retries{Limit: 1, Hold: new(time.Duration)}, with(lost, func(e *End) { e.Alone = true }), true, 20 * time.Second, []string{"a"}, 0},
		"lost for certain":              {Retries{Limit: 1}, with(lost, func(e *End) { e.Final, e.Alone = true, true }), true, 0, []string{"a"}, 0},
		"lost again on the same host":   {two, with(lost, func(e *End) { e.Avoided, e.Attempt = []string{"b", "a"}, 2 }), true, 2 * time.Minute, []string{"b", "a"}, 0},
		"requested after a time limit":  {Retries{}, with(failed, func(e *End) { e.Requested, e.Outcome = true, ended(job.TimedOut, job.Timeout) }), true, 0, nil, 1 << 30},
		"requested after a cancel":      {Retries{}, with(failed, func(e *End) { e.Requested, e.Canceled, e.Outcome = true, true, ended(job.Canceled, job.ByCancel) }), true, 0, nil, 1 << 30},
		"requested after a loss":        {Retries{}, with(lost, func(e *End) { e.Requested, e.Alone = true, true }), true, 20*time.Second + holdAlone, []string{"a"}, 0},
		"requested long after a loss":   {Retries{}, with(lost, func(e *End) { e.Requested, e.Alone, e.LeaseEnd = true, true, noon.Add(-time.Hour) }), true, 0, []string{"a"}, 0},
		"requested soon after a loss":   {Retries{}, with(lost, func(e *End) { e.Requested, e.Alone, e.LeaseEnd = true, true, noon.Add(-time.Minute) }), true, holdAlone - time.Minute, []string{"a"}, 0},
		"requested after a success":     {two, with(failed, func(e *End) { e.Requested, e.Outcome = true, ended(job.Succeeded, job.ExitCode) }), false, 0, nil, 0},
		"the last possible attempt":     {Retries{Limit: 1 << 30}, with(failed, func(e *End) { e.Attempt = job.MaxAttempt }), false, 0, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			next, follows, why := c.r.After(c.e)
			if follows != c.follows || why == "" {
				t.Fatalf("follows %v, %q", follows, why)
			}
			if !follows {
				return
			}
			if next.Attempt != c.e.Attempt+1 || next.NotBefore.Sub(noon) != c.wait || !slices.Equal(next.Avoided, c.avoided) || next.Memory != c.memory {
				t.Errorf("%+v, waits %s", next, next.NotBefore.Sub(noon))
			}
		})
	}
}

// Whatever is asked: never a further attempt beyond the limit, after a success or a cancel; never one
// beside an attempt that is trusted.
func TestAfterAnyEnd(t *testing.T) {
	reasons := slices.Concat(slices.Sorted(maps.Keys(endings)), []job.Reason{job.ByCancel, job.Superseded, job.OutputClosed, job.Expired, job.DependencyEnd, job.CouldNotPlace})
	rapid.Check(t, func(t *rapid.T) {
		hold := time.Duration(rapid.Int64Range(-1, 1<<40).Draw(t, "hold"))
		r := Retries{
			Limit: rapid.IntRange(0, 100).Draw(t, "limit"), Backoff: time.Duration(rapid.Int64Range(0, 1<<50).Draw(t, "backoff")),
			On: rapid.SliceOfN(rapid.SampledFrom(reasons), 0, 3).Draw(t, "on"), Memory: rapid.Float64Range(0, 16).Draw(t, "factor"),
		}
		if rapid.Bool().Draw(t, "holds") {
			r.Hold = &hold
		}
		e := End{
			Attempt: rapid.IntRange(1, 105).Draw(t, "attempt"),
			Outcome: ended(rapid.SampledFrom(job.States()).Draw(t, "state"), rapid.SampledFrom(reasons).Draw(t, "reason")),
			Final:   rapid.Bool().Draw(t, "final"), Canceled: rapid.Bool().Draw(t, "canceled"), Alone: rapid.Bool().Draw(t, "alone"),
			At: noon, LeaseEnd: noon.Add(time.Duration(rapid.Int64Range(-1<<40, 1<<40).Draw(t, "lease"))),
			Host: "h", Memory: rapid.Int64Range(0, 1<<62).Draw(t, "memory"),
		}
		next, follows, _ := r.After(e)
		if !follows {
			return
		}
		switch {
		case e.Attempt > r.Limit, e.Canceled, e.Outcome.State == job.Succeeded, !e.Outcome.State.Terminal():
			t.Fatalf("another attempt follows %+v", e)
		case e.Outcome.State == job.Lost && !e.Final && next.NotBefore.Before(e.LeaseEnd):
			t.Fatalf("the next attempt may start %s before the end of the lease", e.LeaseEnd.Sub(next.NotBefore))
		case next.NotBefore.Before(e.At), next.Memory < e.Memory, len(next.Avoided) > avoidedLimit:
			t.Fatalf("%+v after %+v", next, e)
		}
	})
}

// A run that fails on host after host avoids a bounded number of them, the newest.
func TestAvoidedHostsAreBounded(t *testing.T) {
	e := End{Outcome: ended(job.Lost, job.AgentLost), Final: true, At: noon}
	for i := range 3 * avoidedLimit {
		e.Attempt, e.Host = i+1, string(rune('A'+i))
		next, _, _ := Retries{Limit: 100}.After(e)
		e.Avoided = next.Avoided
	}
	if len(e.Avoided) != avoidedLimit || e.Avoided[avoidedLimit-1] != e.Host {
		t.Errorf("avoids %q", e.Avoided)
	}
}
