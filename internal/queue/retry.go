package queue

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/job"
)

// Limits of further attempts.
const (
	// backoffLimit bounds the pause before a further attempt, unless a longer one was asked for.
	backoffLimit = time.Hour
	// holdAlone is how long an attempt that may live is waited for, beyond its lease, where no other
	// run of its job or group may run beside it.
	holdAlone = 15 * time.Minute
	// avoidedLimit bounds the hosts that a run avoids; the oldest are forgotten first.
	avoidedLimit = 16
)

// ending says how a reason is handled.
type ending struct {
	retried bool // by default
	avoided bool // the next attempt avoids the host
}

// endings has every reason for which another attempt may follow. One that is not here never is followed
// by another attempt: a person canceled the run, or a newer attempt owns it.
var endings = map[job.Reason]ending{
	job.AgentLost:     {retried: true, avoided: true},
	job.HostRebooted:  {retried: true, avoided: true},
	job.HostLost:      {retried: true, avoided: true},
	job.Preempted:     {retried: true, avoided: true},
	job.Evicted:       {retried: true, avoided: true},
	job.AgentStopped:  {retried: true, avoided: true},
	job.InstallFailed: {retried: true, avoided: true},
	job.CouldNotStart: {retried: true, avoided: true},
	job.OutOfMemory:   {retried: true, avoided: true},
	job.ExitCode:      {retried: true},
	job.BySignal:      {retried: true},

	job.Timeout:        {},
	job.InstallTimeout: {},
	job.NoOutput:       {},
	job.NoProgress:     {},
}

// Retries says after which ends of an attempt another one follows.
type Retries struct {
	Limit   int            // the most further attempts
	Backoff time.Duration  // before the first of them; it doubles with each
	On      []job.Reason   // empty for the default
	Hold    *time.Duration // nil for the default
	Memory  float64        // by which the memory limit grows after out_of_memory; below 1 is 1
}

// End is the end of an attempt of a submitted run, and what decides whether another one follows.
type End struct {
	Attempt int
	Outcome job.Outcome
	// Final says that the server has the attempt's own end or that the process that took its journal
	// over has completed it, so that the attempt cannot come back.
	Final    bool
	At       time.Time // when the end became known, on the server's clock
	LeaseEnd time.Time // until when the attempt is trusted
	Host     string
	Avoided  []string // hosts that the attempt avoided
	Memory   int64    // the attempt's limit in bytes; 0 for none
	// Canceled says that a person or a rule asked the run to stop.
	Canceled bool
	// Alone says that the job or its group runs one run at a time.
	Alone bool
	// Requested says that a person asks for the attempt: no limit and no reason counts, and no pause.
	Requested bool
}

// Next is a further attempt.
type Next struct {
	Attempt   int
	NotBefore time.Time
	Avoided   []string
	Memory    int64
}

// After returns the attempt that follows an end. follows is false if none does, and why says why in
// either case, for a person.
func (r Retries) After(e End) (next Next, follows bool, why string) {
	if why := r.refuse(e); why != "" {
		return Next{}, false, why
	}
	next = Next{Attempt: e.Attempt + 1, NotBefore: e.At, Avoided: slices.Clone(e.Avoided), Memory: e.Memory}
	if !e.Requested {
		next.NotBefore = e.At.Add(r.backoff(e.Attempt - 1))
	}
	if held := r.HeldUntil(e); held.After(next.NotBefore) {
		next.NotBefore = held
	}
	if endings[e.Outcome.Reason].avoided && e.Host != "" && !slices.Contains(next.Avoided, e.Host) {
		next.Avoided = append(next.Avoided, e.Host)
		next.Avoided = next.Avoided[max(0, len(next.Avoided)-avoidedLimit):]
	}
	if e.Outcome.Reason == job.OutOfMemory {
		next.Memory = grown(e.Memory, r.Memory)
	}
	return next, true, fmt.Sprintf("attempt %d follows after %s", next.Attempt, e.Outcome.Reason)
}

// HeldUntil returns until when an attempt is waited for that may live: the run has its place in its group, and no
// other attempt of it starts. For one that cannot come back that is the time of its end. A person who asks for
// another attempt does not begin the wait anew.
func (r Retries) HeldUntil(e End) time.Time {
	if e.Final {
		return e.At
	}
	trusted := e.LeaseEnd
	if trusted.Before(e.At) && !e.Requested {
		trusted = e.At
	}
	return trusted.Add(r.hold(e.Alone))
}

// refuse returns why no attempt follows an end; empty if one does.
func (r Retries) refuse(e End) string {
	how, known := endings[e.Outcome.Reason]
	switch {
	case !e.Outcome.State.Terminal():
		return "the attempt has not ended"
	case e.Attempt >= job.MaxAttempt:
		return fmt.Sprintf("a run has at most %d attempts", job.MaxAttempt)
	case e.Outcome.State == job.Succeeded:
		return "the run succeeded"
	case e.Outcome.Reason == job.Superseded:
		return "a newer attempt owns the run"
	case e.Requested:
		return ""
	case e.Canceled || !known:
		return fmt.Sprintf("no attempt follows after %s", e.Outcome.Reason)
	case len(r.On) > 0 && !slices.Contains(r.On, e.Outcome.Reason), len(r.On) == 0 && !how.retried:
		return fmt.Sprintf("the retries of the job do not include %s", e.Outcome.Reason)
	case e.Attempt > r.Limit:
		return fmt.Sprintf("the job has at most %d further attempts", r.Limit)
	}
	return ""
}

// hold returns how long beyond its lease an attempt is waited for that may live.
func (r Retries) hold(alone bool) time.Duration {
	switch {
	case r.Hold != nil:
		return max(0, *r.Hold)
	case alone:
		return holdAlone
	}
	return 0
}

// backoff returns the pause after a number of further attempts.
func (r Retries) backoff(done int) time.Duration {
	pause := max(0, r.Backoff)
	most := max(pause, backoffLimit)
	for range done {
		if pause >= most/2 {
			return most
		}
		pause *= 2
	}
	return pause
}

// grown returns a memory limit multiplied by a factor. Without a limit there is nothing to grow.
func grown(limit int64, factor float64) int64 {
	if factor <= 1 || limit <= 0 {
		return limit
	}
	if larger := float64(limit) * factor; larger < 1<<62 {
		return int64(larger)
	}
	return limit
}
