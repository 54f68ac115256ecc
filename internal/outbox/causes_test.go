package outbox

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

func TestCausesOfALostRunThatIsHeardAgain(t *testing.T) {
	healed := job.RunEvent{Kind: "state", From: string(job.Lost), To: string(job.Running), Rule: string(job.Heard)}
	to := func(s job.State) job.RunEvent {
		return job.RunEvent{Kind: "state", From: string(job.Running), To: string(s)}
	}
	for name, c := range map[string]struct {
		events []job.RunEvent
		want   []string
	}{
		"lost":                         {[]job.RunEvent{to(job.Lost)}, []string{WhatLost}},
		"reports again":                {[]job.RunEvent{healed}, []string{WhatHealed}},
		"reports again, and it failed": {[]job.RunEvent{healed, to(job.Failed)}, []string{WhatHealed, WhatFailed}},
	} {
		var got []string
		for _, e := range Entries(&job.Run{ID: "r"}, c.events, time.Unix(0, 0)) {
			got = append(got, e.What)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStillLost(t *testing.T) {
	state := func(from, to job.State, rule job.EventKind) job.RunEvent {
		return job.RunEvent{Kind: "state", From: string(from), To: string(to), Rule: string(rule)}
	}
	healed, lost := state(job.Lost, job.Running, job.Heard), state(job.Running, job.Lost, job.Ended)
	for name, c := range map[string]struct {
		events []job.RunEvent
		want   bool
	}{
		"nothing":                   {nil, false},
		"health":                    {[]job.RunEvent{{Kind: "health"}}, false},
		"lost":                      {[]job.RunEvent{lost}, false},
		"reports again":             {[]job.RunEvent{healed}, false},
		"completed by a flush":      {[]job.RunEvent{healed, lost}, true},
		"with health between":       {[]job.RunEvent{healed, {Kind: "health"}, lost}, true},
		"with other states between": {[]job.RunEvent{healed, state(job.Running, job.Stopping, job.StopRequested), lost}, true},
		"reports again, and failed": {[]job.RunEvent{healed, state(job.Running, job.Failed, job.Ended)}, false},
		"the next attempt is lost":  {[]job.RunEvent{state(job.Lost, job.Starting, job.AttemptStarted), lost}, false},
	} {
		complete := CompleteLost(c.events)
		if got := StillLost(complete); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
		if diff := cmp.Diff(c.events, complete); (diff == "") == c.want {
			t.Errorf("%s (-events +complete):\n%s", name, diff)
		}
	}
}

// What somebody meant to end is no trouble; only what ended with its agent is.
func TestCausesOfACanceledRun(t *testing.T) {
	for reason, severity := range map[job.Reason]job.Health{
		job.ByCancel: Info, job.OutputClosed: Info, job.Superseded: Info, job.AgentStopped: job.Warning, job.Expired: job.Warning, job.DependencyEnd: job.Warning,
	} {
		run := &job.Run{ID: "r", Outcome: &job.Outcome{State: job.Canceled, Reason: reason}}
		got := Entries(run, []job.RunEvent{{Kind: "state", From: string(job.Running), To: string(job.Canceled)}}, time.Unix(0, 0))
		if len(got) != 1 || got[0].What != WhatCanceled || got[0].Severity != severity {
			t.Errorf("%s: %+v", reason, got)
		}
	}
}
