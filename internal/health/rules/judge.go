package rules

import (
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

const (
	// DefaultPeriod is the period of heartbeats if the agent has sent none.
	DefaultPeriod = 5 * time.Second
	// MinQuietAfter is the shortest silence that is a finding. A shorter one is normal on a busy host
	// or network.
	MinQuietAfter = 2 * time.Second
	// ConfirmTimeout is how long an agent whose connection closed has to send another request, and
	// LongConfirmTimeout is this time if its connection may have closed for another reason than its
	// death.
	ConfirmTimeout     = time.Second
	LongConfirmTimeout = 3 * time.Second
	// StoppedLimit is how long after the server did not run for a time connections count as Disconnect.Stopped.
	StoppedLimit = 10 * time.Second
	// LateHeartbeatLimit is how late the heartbeat after a closed connection may be, if the agent
	// may not detect at once that the connection closed.
	LateHeartbeatLimit = 2 * time.Second
	// FewTogether is how many connections may close within TogetherInterval before they may have a
	// common cause.
	FewTogether      = 2
	TogetherInterval = 200 * time.Millisecond
	// LatenessLimit is how late timers of the server or of an agent may be before ConfirmTimeout is
	// too short.
	LatenessLimit = 300 * time.Millisecond
	// HoldLimit is the longest time for which verdicts are delayed because many runs fell silent
	// together.
	HoldLimit = 5 * time.Minute
	// GraceAfter is how long a run is trusted at least after an outage of the server. It is two
	// periods if that is longer, because an agent whose lease has ended sends one heartbeat in a
	// period.
	GraceAfter = time.Minute
)

// QuietAfter returns how long a run may be silent before that is a finding: one and a half periods
// of its heartbeats.
func QuietAfter(period time.Duration) time.Duration {
	return max(periodOr(period)*3/2, MinQuietAfter)
}

// periodOr returns a period, or DefaultPeriod if there is none.
func periodOr(period time.Duration) time.Duration {
	if period <= 0 {
		return DefaultPeriod
	}
	return period
}

// Circumstances is what the judgement of a run needs besides its lease.
type Circumstances struct {
	// Since is since when the server has accepted heartbeats and judged without interruption. A
	// run is not silent before it.
	Since time.Time
	// Arrived is when a heartbeat arrived that is not stored; zero for none.
	Arrived time.Time
	// ExtendedTo is until when the lease is extended, because of an outage of the server, or
	// because another server judged before; zero if it is not extended.
	ExtendedTo time.Time
	// Outage is how much of the time since the attempt's last sign of life was an outage.
	Outage time.Duration
	// Closed describes the end of the connection of the attempt's heartbeats, if it has closed.
	Closed lease.Closure
	// HeldUntil is until when no run is called lost, because many fell silent together; zero if
	// verdicts are not delayed.
	HeldUntil time.Time
}

// LastSign returns when the last sign of life of the attempt arrived.
func (c Circumstances) LastSign(l lease.Lease) time.Time { return Later(l.ReportedAt, c.Arrived) }

// IsDisconnected reports whether the connection of the attempt's heartbeats has closed and the attempt
// has not reported since.
func (c Circumstances) IsDisconnected(l lease.Lease) bool {
	return !c.Closed.At.IsZero() && !c.LastSign(l).After(c.Closed.At) && !HasGoneOn(l, c.Closed)
}

// HasGoneOn reports whether the agent of an attempt has sent a later heartbeat to another server than the last one to the server
// where its connection closed. An agent with several addresses does, and closes the connection then; a server that was stopped
// meanwhile learns of that late.
func HasGoneOn(l lease.Lease, c lease.Closure) bool {
	return c.Sequence > 0 && l.Beat != nil && l.Beat.Sequence > c.Sequence
}

// isGone reports whether the connection has closed in the way in which that of a killed agent does.
func (c Circumstances) isGone(l lease.Lease) bool {
	return c.IsDisconnected(l) && c.Closed.Confirm > 0
}

// ClosureOf returns the closure for the end of a connection. together is how many connections closed
// within TogetherInterval of it, itself included, and lateAt is when the server was last late.
func ClosureOf(d lease.Disconnect, together int, lateAt time.Time) lease.Closure {
	c := lease.Closure{At: d.At, Sequence: d.Sequence}
	if !d.Peer {
		return c
	}
	c.Confirm = LongConfirmTimeout
	switch {
	case d.Stopped:
		c.Confirm = max(LongConfirmTimeout, d.Every+LateHeartbeatLimit)
		c.Why = "the server itself did not run before"
	case !d.Due.IsZero():
		c.Confirm = max(LongConfirmTimeout, d.Due.Add(LateHeartbeatLimit).Sub(d.At))
		c.Why = "it may notice that only when its next heartbeat is due"
	case d.Forwarded:
		c.Why = "its requests come through a proxy"
	case d.Indirect:
		c.Why = "its own address is not the one that the server sees"
	case together > FewTogether:
		c.Why = fmt.Sprintf("more than %d connections closed within %s", FewTogether, TogetherInterval)
	case lateAt.After(d.At.Add(-LongConfirmTimeout)):
		c.Why = "the server itself was slow"
	default:
		c.Confirm = ConfirmTimeout
	}
	return c
}

// confirm returns how long the agent of a closed connection has to send another request, and why that is
// longer than ConfirmTimeout; an empty reason if it is not.
func (c Circumstances) confirm(l lease.Lease) (d time.Duration, why string) {
	slow := l.Beat != nil && l.Beat.SchedulingDelayMS > LatenessLimit.Milliseconds()
	if slow && c.Closed.Confirm < LongConfirmTimeout {
		return LongConfirmTimeout, "its host was slow at its last heartbeat"
	}
	return c.Closed.Confirm, c.Closed.Why
}

// isSuspended reports whether the agent has suspended itself and the job. It sends no heartbeats then, but
// the end of its connection is evidence as for any other run.
func isSuspended(l lease.Lease) bool { return l.Beat != nil && l.Beat.Suspended }

// IsSilent reports whether a run is silent: its connection has closed, or neither a heartbeat nor a part
// of its journal has arrived for longer than QuietAfter, while the server accepted them. Of a run that is
// reported by pings nothing is expected before its end.
func IsSilent(l lease.Lease, now time.Time, c Circumstances) bool {
	if l.Evidence.Limits.Pinged {
		return false
	}
	if isSuspended(l) {
		return c.isGone(l)
	}
	return c.IsDisconnected(l) || now.Sub(Later(c.LastSign(l), c.Since)) > QuietAfter(l.EveryPeriod)
}

// TrustAfterOutage returns how long a run is trusted from the end of an outage on: of a run that is reported by
// pings the grace of its job, as long as its start is trusted after it is overdue.
func TrustAfterOutage(l lease.Lease) time.Duration {
	if l.Evidence.Limits.Pinged {
		return max(GraceAfter, l.Evidence.Limits.Expect)
	}
	return max(GraceAfter, 2*periodOr(l.EveryPeriod))
}

// LeaseEnd returns when the lease of a run ends. After an outage of the server it is extended, so that an
// agent whose heartbeats were refused has time to send another one. With any number of outages a run is
// trusted for no more than its lease and one extension, counted in time in which the server accepted
// heartbeats. capped reports whether the lease would be longer without this limit.
func LeaseEnd(l lease.Lease, c Circumstances) (end time.Time, capped bool) {
	end = l.ExpiresAt
	if !c.Arrived.IsZero() {
		end = Later(end, c.Arrived.Add(l.Length))
	}
	limit := c.LastSign(l).Add(l.Length + TrustAfterOutage(l) + c.Outage)
	return Later(end, Earlier(c.ExtendedTo, limit)), c.ExtendedTo.After(Later(end, limit))
}

// Deadline returns when a silent run is called lost: at the end of its lease; earlier, after a time in
// which a living agent sends another request, if the agent's side closed the connection; and later, by at
// most HoldLimit, if many runs fell silent together.
func Deadline(l lease.Lease, c Circumstances) time.Time {
	end, _ := LeaseEnd(l, c)
	if c.isGone(l) {
		confirm, _ := c.confirm(l)
		end = Earlier(end, c.Closed.At.Add(confirm))
	}
	return Later(end, Earlier(c.HeldUntil, c.LastSign(l).Add(l.Length+HoldLimit+c.Outage)))
}

// Judge returns the verdict on a run, and whether it changes the run. A silent run keeps the findings from
// its heartbeats, because there are no new ones.
func Judge(l lease.Lease, now time.Time, c Circumstances, p policy.Policy) (lease.Verdict, bool) {
	v := lease.Verdict{Run: l.Run, Attempt: l.Attempt, ReportedAt: l.ReportedAt, At: now}
	if deadline := Deadline(l, c); !now.Before(deadline) {
		v.Lost, v.Disconnected = true, c.isGone(l)
		v.Evidence = lostEvidence(l, c)
		v.Outbox = lostEntries(l, v, p)
		return v, true
	}
	_, wasQuiet := FindingOf(l.Findings, policy.Quiet)
	if IsSilent(l, now, c) {
		for _, f := range l.Findings {
			if f.Rule != policy.Quiet {
				v.Findings = append(v.Findings, f)
			}
		}
		if p.Quiet.On {
			v.Findings = append(v.Findings, withSeverity(quietFinding(l, c), p))
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

// verdictEvidence returns the sentence for the event of a change of health.
func verdictEvidence(l lease.Lease, now []job.Finding, wasQuiet bool) string {
	text := ""
	for _, f := range now {
		if before, had := FindingOf(l.Findings, f.Rule); had && before.Health == f.Health {
			continue
		}
		if text == "" || f.Health == job.Critical {
			text = f.Evidence
		}
	}
	if text != "" {
		return text
	}
	if _, quiet := FindingOf(now, policy.Quiet); wasQuiet && !quiet {
		return "Reported again at " + Clock(l.ReportedAt) + "."
	}
	for _, f := range l.Findings {
		if _, still := FindingOf(now, f.Rule); !still {
			return overText + f.Evidence
		}
	}
	if len(now) > 0 {
		return now[0].Evidence
	}
	return "There are no findings."
}

// overText is the beginning of a sentence about a finding that has ended.
const overText = "No longer true: "

// quietFinding returns the finding of a silent run. Its text changes only when the facts change, and not
// in every round.
func quietFinding(l lease.Lease, c Circumstances) job.Finding {
	deadline := Deadline(l, c)
	f := job.Finding{Rule: policy.Quiet, Health: job.Warning, Since: l.ReportedAt}
	setNext(&f, job.NextLost, &deadline)
	switch {
	case !c.HeldUntil.IsZero():
		f.Evidence = fmt.Sprintf("No heartbeat since %s, together with many others: this looks like the network, not the job.", Clock(l.ReportedAt))
	case c.isGone(l):
		f.Evidence = fmt.Sprintf("The agent's connection closed at %s and the attempt had not ended.", Clock(c.Closed.At))
	case c.IsDisconnected(l):
		f.Evidence = fmt.Sprintf("The agent's connection broke at %s, and no heartbeat came since %s.", Clock(c.Closed.At), Clock(l.ReportedAt))
	default:
		f.Evidence = fmt.Sprintf("No heartbeat since %s; one is due every %s.", Clock(l.ReportedAt), periodOr(l.EveryPeriod))
	}
	return f
}

// lostEvidence returns the sentence that says why a run is called lost.
func lostEvidence(l lease.Lease, c Circumstances) string {
	if c.isGone(l) {
		text := fmt.Sprintf("The agent's connection closed at %s, and the agent did not connect again.", Clock(c.Closed.At))
		if confirm, why := c.confirm(l); why != "" {
			text += fmt.Sprintf(" It had %s to do so instead of %s, because %s.", confirm.Round(100*time.Millisecond), ConfirmTimeout, why)
		}
		return text
	}
	what, text := "heartbeats", fmt.Sprintf("No heartbeat since %s; one was due every %s, and the lease ended at %s.",
		Clock(l.ReportedAt), periodOr(l.EveryPeriod), Clock(l.ExpiresAt))
	if l.Evidence.Limits.Pinged {
		what, text = "pings", fmt.Sprintf("Its start was reported at %s, and its end was not reported by %s.", Clock(l.Evidence.BegunAt), Clock(l.ExpiresAt))
	}
	if end, _ := LeaseEnd(l, c); end.After(l.ExpiresAt) {
		text += fmt.Sprintf(" It was extended to %s, because this server could not accept %s all the time.", Clock(end), what)
	}
	return text
}

// Worst returns the health of a run with findings.
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

// FindingOf returns the finding of a rule, if there is one.
func FindingOf(findings []job.Finding, rule string) (job.Finding, bool) {
	for _, f := range findings {
		if f.Rule == rule {
			return f, true
		}
	}
	return job.Finding{}, false
}

// sameFinding reports whether two findings are equal, except for their facts, which change with every
// heartbeat. Times are compared to the microsecond, the precision of the store.
func sameFinding(a, b job.Finding) bool {
	return a.Rule == b.Rule && a.Health == b.Health && a.Evidence == b.Evidence && a.Next == b.Next &&
		sameTime(a.Since, b.Since) && (a.NextAt == nil) == (b.NextAt == nil) &&
		(a.NextAt == nil || sameTime(*a.NextAt, *b.NextAt))
}

func sameTime(a, b time.Time) bool { return a.UnixMicro() == b.UnixMicro() }

// Later returns the later one of two times.
func Later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Earlier returns the earlier one of two times.
func Earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
