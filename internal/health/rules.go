package health

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

const (
	// DefaultPeriod stands in for a heartbeat period that nobody gave.
	DefaultPeriod = 5 * time.Second
	// MinQuiet is the shortest silence that makes a finding: less than that is a busy
	// host or network.
	MinQuiet = 2 * time.Second
	// ConfirmGone is how long an agent whose connection closed has to come back, and
	// ConfirmDoubt where something else than its death may have closed it.
	ConfirmGone  = time.Second
	ConfirmDoubt = 3 * time.Second
	// latenessGone is how late the beat after a closed connection may be, where the agent
	// does not beat again at once.
	latenessGone = 2 * time.Second
	// FewTogether is how many connections may close within TogetherWithin before the
	// cause may be what they share.
	FewTogether    = 2
	TogetherWithin = 200 * time.Millisecond
	// MostLate is how late timers of the server or of an agent may be before ConfirmGone is
	// too short for it.
	MostLate = 300 * time.Millisecond
)

// QuietAfter is how long a run may be silent before that is a finding: one and a half
// heartbeat periods.
func QuietAfter(period time.Duration) time.Duration {
	return max(periodOr(period)*3/2, MinQuiet)
}

func periodOr(period time.Duration) time.Duration {
	if period <= 0 {
		return DefaultPeriod
	}
	return period
}

// Circumstances are what the judgement of one run needs besides its lease.
type Circumstances struct {
	// Since is when the server began to take heartbeats, and to judge, without a break:
	// silence before it is no sign of the agent's.
	Since time.Time
	// Arrived is when a heartbeat arrived that is not stored yet, if any.
	Arrived time.Time
	// ExtendedTo is until when a lease is extended, because of an outage of the server or
	// because another one judged until a moment ago; zero if that is not so.
	ExtendedTo time.Time
	// Outage is how much of the time since the attempt's last sign of life was an outage.
	Outage time.Duration
	// Closed is the end of the connection that carried the attempt's heartbeats, if any.
	Closed lease.Closure
	// HeldUntil is until when no run is called lost because many fell silent together;
	// zero if that is not so.
	HeldUntil time.Time
}

// lastSign is when the attempt last gave a sign of life.
func (c Circumstances) lastSign(l lease.Lease) time.Time { return later(l.ReportedAt, c.Arrived) }

// closed reports whether the end of the connection still says something: the attempt was
// not reported since.
func (c Circumstances) closed(l lease.Lease) bool {
	return !c.Closed.At.IsZero() && !c.lastSign(l).After(c.Closed.At)
}

// gone reports whether the connection ended as that of a killed agent does.
func (c Circumstances) gone(l lease.Lease) bool { return c.closed(l) && c.Closed.Confirm > 0 }

// Closes is what the end of a connection means, when together of them closed within
// TogetherWithin of it, itself included, and the server was last late at lateAt.
func Closes(d lease.Disconnect, together int, lateAt time.Time) lease.Closure {
	c := lease.Closure{At: d.At}
	if !d.Peer {
		return c
	}
	c.Confirm = ConfirmDoubt
	switch {
	case !d.Due.IsZero():
		c.Confirm = max(ConfirmDoubt, d.Due.Add(latenessGone).Sub(d.At))
		c.Why = "it may notice that only when its next heartbeat is due"
	case d.Forwarded:
		c.Why = "its requests come through a proxy"
	case d.Indirect:
		c.Why = "its own address is not the one that the server sees"
	case together > FewTogether:
		c.Why = fmt.Sprintf("more than %d connections closed within %s", FewTogether, TogetherWithin)
	case lateAt.After(d.At.Add(-ConfirmDoubt)):
		c.Why = "the server itself was slow"
	default:
		c.Confirm = ConfirmGone
	}
	return c
}

// confirm is how long the agent of a connection that closed has to come back, and why that is
// longer than ConfirmGone; empty where it is not.
func (c Circumstances) confirm(l lease.Lease) (d time.Duration, why string) {
	slow := l.Beat != nil && l.Beat.SchedulingDelayMS > MostLate.Milliseconds()
	if slow && c.Closed.Confirm < ConfirmDoubt {
		return ConfirmDoubt, "its host was slow at its last heartbeat"
	}
	return c.Closed.Confirm, c.Closed.Why
}

// Suspended reports whether the agent has stopped itself and the job: its silence is no
// sign of anything, but the end of its connection still is.
func Suspended(l lease.Lease) bool { return l.Beat != nil && l.Beat.Suspended }

// Silent reports whether a run is silent now: its connection closed, or no heartbeat and
// no journal for longer than QuietAfter, while the server was listening.
func Silent(l lease.Lease, now time.Time, c Circumstances) bool {
	if Suspended(l) {
		return c.gone(l)
	}
	return c.closed(l) || now.Sub(later(c.lastSign(l), c.Since)) > QuietAfter(l.EveryPeriod)
}

// trustAfterOutage is how long a run is trusted from the end of an outage on: an agent whose
// lease is over sends one heartbeat in a period.
func trustAfterOutage(l lease.Lease) time.Duration {
	return max(Grace, 2*periodOr(l.EveryPeriod))
}

// LeaseEnd is when the lease of a run ends. After an outage of the server it is extended: an
// agent whose heartbeats were not taken has time to send another one. However many outages there
// are, a run is trusted for no more than its lease and one such extension, counted in time in which the
// server took heartbeats; capped reports that it would be trusted for longer otherwise.
func LeaseEnd(l lease.Lease, c Circumstances) (end time.Time, capped bool) {
	end = l.ExpiresAt
	if !c.Arrived.IsZero() {
		end = later(end, c.Arrived.Add(l.Length))
	}
	most := c.lastSign(l).Add(l.Length + trustAfterOutage(l) + c.Outage)
	return later(end, earlier(c.ExtendedTo, most)), c.ExtendedTo.After(later(end, most))
}

// Deadline is when a silent run is called lost: when its lease ends. A connection that its
// agent's side closed shortens that to a confirmation in which a living agent beats again;
// silence of many together puts it off, but not again and again.
func Deadline(l lease.Lease, c Circumstances) time.Time {
	end, _ := LeaseEnd(l, c)
	if c.gone(l) {
		confirm, _ := c.confirm(l)
		end = earlier(end, c.Closed.At.Add(confirm))
	}
	return later(end, earlier(c.HeldUntil, c.lastSign(l).Add(l.Length+HoldFor+c.Outage)))
}

// Judge is the verdict on one run, and whether it says anything new. A run that is silent
// keeps the findings that its heartbeats made: nothing new is known of them.
func Judge(l lease.Lease, now time.Time, c Circumstances, p policy.Policy) (lease.Verdict, bool) {
	v := lease.Verdict{Run: l.Run, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: now}
	if deadline := Deadline(l, c); !now.Before(deadline) {
		v.Lost = true
		v.Evidence = lostEvidence(l, c)
		v.Outbox = lostEntries(l, v, !c.gone(l), p)
		return v, true
	}
	_, wasQuiet := findingOf(l.Findings, policy.Quiet)
	if Silent(l, now, c) {
		for _, f := range l.Findings {
			if f.Rule != policy.Quiet {
				v.Findings = append(v.Findings, f)
			}
		}
		if p.Quiet.On {
			v.Findings = append(v.Findings, withSeverity(quiet(l, c), p))
		}
	} else {
		v.Findings = findings(l, now, p)
	}
	v.Health = Worst(v.Findings)
	v.Evidence = verdictEvidence(l, v.Findings, wasQuiet)
	changed := v.Health != l.Health || !slices.EqualFunc(l.Findings, v.Findings, sameFinding)
	if changed {
		v.Outbox = findingEntries(l, v, p)
	}
	return v, changed
}

// verdictEvidence is the sentence that the history keeps of a change of health.
func verdictEvidence(l lease.Lease, now []job.Finding, wasQuiet bool) string {
	text := ""
	for _, f := range now {
		if before, had := findingOf(l.Findings, f.Rule); had && before.Health == f.Health {
			continue
		}
		if text == "" || f.Health == job.Critical {
			text = f.Evidence
		}
	}
	if text != "" {
		return text
	}
	if _, quiet := findingOf(now, policy.Quiet); wasQuiet && !quiet {
		return "Reported again at " + clock(l.ReportedAt) + "."
	}
	for _, f := range l.Findings {
		if _, still := findingOf(now, f.Rule); !still {
			return "It no longer holds that: " + f.Evidence
		}
	}
	if len(now) > 0 {
		return now[0].Evidence
	}
	return "No finding holds."
}

// quiet is the finding of a silent run. Its words change only when the facts do, not in
// every round.
func quiet(l lease.Lease, c Circumstances) job.Finding {
	deadline := Deadline(l, c)
	f := job.Finding{Rule: policy.Quiet, Health: job.Warning, Since: l.ReportedAt}
	setNext(&f, job.NextLost, &deadline)
	switch {
	case !c.HeldUntil.IsZero():
		f.Evidence = fmt.Sprintf("No heartbeat since %s, together with many others: this looks like the network, not the job.", clock(l.ReportedAt))
	case c.gone(l):
		f.Evidence = fmt.Sprintf("The agent's connection closed at %s and the attempt had not ended.", clock(c.Closed.At))
	case c.closed(l):
		f.Evidence = fmt.Sprintf("The agent's connection broke at %s, and no heartbeat came since %s.", clock(c.Closed.At), clock(l.ReportedAt))
	default:
		f.Evidence = fmt.Sprintf("No heartbeat since %s; one is due every %s.", clock(l.ReportedAt), periodOr(l.EveryPeriod))
	}
	return f
}

func lostEvidence(l lease.Lease, c Circumstances) string {
	if c.gone(l) {
		text := fmt.Sprintf("The agent's connection closed at %s, and it did not come back.", clock(c.Closed.At))
		if confirm, why := c.confirm(l); why != "" {
			text += fmt.Sprintf(" It had %s for that instead of %s, because %s.", confirm.Round(100*time.Millisecond), ConfirmGone, why)
		}
		return text
	}
	text := fmt.Sprintf("No heartbeat since %s; one was due every %s, and the lease ended at %s.",
		clock(l.ReportedAt), periodOr(l.EveryPeriod), clock(l.ExpiresAt))
	if end, _ := LeaseEnd(l, c); end.After(l.ExpiresAt) {
		text += fmt.Sprintf(" It was extended to %s, because this server could not take heartbeats all the time.", clock(end))
	}
	return text
}

// Worst is the health that findings make together.
func Worst(findings []job.Finding) job.Health {
	health := job.Healthy
	for _, f := range findings {
		if f.Health == job.Critical {
			return job.Critical
		}
		if f.Health == job.Warning {
			health = job.Warning
		}
	}
	return health
}

func findingOf(findings []job.Finding, rule string) (job.Finding, bool) {
	for _, f := range findings {
		if f.Rule == rule {
			return f, true
		}
	}
	return job.Finding{}, false
}

// sameFinding compares times to the microsecond, which is what a store keeps. The facts may
// differ: they change with every heartbeat.
func sameFinding(a, b job.Finding) bool {
	return a.Rule == b.Rule && a.Health == b.Health && a.Evidence == b.Evidence && a.Next == b.Next &&
		sameTime(a.Since, b.Since) && (a.NextAt == nil) == (b.NextAt == nil) &&
		(a.NextAt == nil || sameTime(*a.NextAt, *b.NextAt))
}

func sameTime(a, b time.Time) bool { return a.UnixMicro() == b.UnixMicro() }

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
