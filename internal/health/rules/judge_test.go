package rules

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second)))
}

// lease of a run that reported at noon and beats every 5 s with a lease of 15 s.
func newLease(change ...func(*lease.Lease)) lease.Lease {
	l := lease.Lease{
		Run: "r", Attempt: 1, State: job.Running, Health: job.Healthy, ReportedAt: noon,
		Length: 15 * time.Second, ExpiresAt: at(15), EveryPeriod: 5 * time.Second,
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

func withFinding(f job.Finding) func(*lease.Lease) {
	return func(l *lease.Lease) { l.Findings = append(l.Findings, f); l.Health = f.Health }
}

func expires(seconds float64) func(*lease.Lease) {
	return func(l *lease.Lease) { l.ExpiresAt = at(seconds) }
}

func TestJudge(t *testing.T) {
	memory := job.Finding{Rule: "memory", Health: job.Critical, Since: noon, Evidence: "Near its limit."}
	every := func(d time.Duration) func(*lease.Lease) { return func(l *lease.Lease) { l.EveryPeriod = d } }
	before := Circumstances{Since: at(-100)}
	closed := func(s float64, confirm time.Duration) Circumstances {
		return Circumstances{Since: at(-100), Closed: lease.Closure{At: at(s), Confirm: confirm}}
	}
	goneAt := func(s float64) Circumstances { return closed(s, ConfirmTimeout) }
	goneAfter := func(sequence int64) Circumstances {
		return Circumstances{Since: at(-100), Closed: lease.Closure{At: at(1), Confirm: ConfirmTimeout, Sequence: sequence}}
	}
	beat := func(hb job.Heartbeat) func(*lease.Lease) {
		return func(l *lease.Lease) { l.Beat = &hb }
	}
	for _, c := range []struct {
		name     string
		lease    lease.Lease
		now      float64
		circs    Circumstances
		verdict  string // "", "quiet", "lost", "recovered"
		deadline float64
		evidence string
	}{
		{name: "just reported", lease: newLease(), now: 0.1, circs: before},
		{name: "one and a half periods exactly", lease: newLease(), now: 7.5, circs: before},
		{name: "a moment more", lease: newLease(), now: 7.501, circs: before, verdict: "quiet", deadline: 15, evidence: "one is due every 5s"},
		{name: "just before the lease ends", lease: newLease(), now: 14.999, circs: before, verdict: "quiet", deadline: 15},
		{name: "the lease ends", lease: newLease(), now: 15, circs: before, verdict: "lost", evidence: "the lease ended at 12:00:15 UTC"},
		{name: "pings do not say the end", lease: newLease(pinged, every(time.Hour), expires(200)), now: 200, circs: before, verdict: "lost", evidence: "its end was not reported by 12:03:20 UTC"},
		{name: "long after", lease: newLease(), now: 1000, circs: before, verdict: "lost"},
		{name: "a period of a second has two seconds", lease: newLease(every(time.Second)), now: 2, circs: before},
		{name: "and not more", lease: newLease(every(time.Second)), now: 2.001, circs: before, verdict: "quiet", deadline: 15},
		{name: "no period given counts as five seconds", lease: newLease(every(0)), now: 7.5, circs: before},
		{name: "a long period", lease: newLease(every(time.Minute), expires(180)), now: 90, circs: before},
		{name: "a long period, quiet", lease: newLease(every(time.Minute), expires(180)), now: 91, circs: before, verdict: "quiet", deadline: 180},
		{name: "the clock went back", lease: newLease(), now: -50, circs: before},

		{name: "silence before the server listened does not count", lease: newLease(expires(160)), now: 107.5, circs: Circumstances{Since: at(100)}},
		{name: "silence since then does", lease: newLease(expires(160)), now: 107.6, circs: Circumstances{Since: at(100)}, verdict: "quiet", deadline: 160},

		{name: "closed connection, after the last heartbeat", lease: newLease(beat(job.Heartbeat{Sequence: 7})), now: 3, circs: goneAfter(7), verdict: "lost"},
		{name: "closed connection of an agent that has gone on to another server", lease: newLease(beat(job.Heartbeat{Sequence: 8})), now: 3, circs: goneAfter(7)},
		{name: "and then falls silent", lease: newLease(beat(job.Heartbeat{Sequence: 8})), now: 8, circs: goneAfter(7), verdict: "quiet", deadline: 15, evidence: "one is due every 5s"},
		{name: "closed connection is reported at once", lease: newLease(), now: 1, circs: closed(1, 6*time.Second), verdict: "quiet", deadline: 7, evidence: "connection closed at 12:00:01 UTC"},
		{name: "and confirmed at the next beat", lease: newLease(), now: 7, circs: closed(1, 6*time.Second), verdict: "lost", evidence: "did not connect again"},
		{name: "never later than the lease", lease: newLease(), now: 15, circs: goneAt(14), verdict: "lost"},
		{name: "beats at once", lease: newLease(), now: 1.999, circs: goneAt(1), verdict: "quiet", deadline: 2},
		{name: "and did not", lease: newLease(), now: 2, circs: goneAt(1), verdict: "lost", evidence: "connection closed at 12:00:01 UTC"},
		{name: "beats at once, in doubt", lease: newLease(), now: 3.999, circs: closed(1, LongConfirmTimeout), verdict: "quiet", deadline: 4},
		{name: "and did not, in doubt", lease: newLease(), now: 4, circs: closed(1, LongConfirmTimeout), verdict: "lost"},
		{name: "in doubt, with the reason", lease: newLease(), now: 4, circs: Circumstances{Since: at(-100), Closed: lease.Closure{At: at(1), Confirm: LongConfirmTimeout, Why: "of a proxy"}}, verdict: "lost", evidence: "It had 3s to do so instead of 1s, because of a proxy."},
		{name: "a slow agent that did not", lease: newLease(beat(job.Heartbeat{SchedulingDelayMS: 301})), now: 4, circs: goneAt(1), verdict: "lost", evidence: "instead of 1s, because its host was slow"},
		{name: "a slow agent", lease: newLease(beat(job.Heartbeat{SchedulingDelayMS: 301})), now: 2, circs: goneAt(1), verdict: "quiet", deadline: 4},
		{name: "an agent that is hardly slow", lease: newLease(beat(job.Heartbeat{SchedulingDelayMS: 300})), now: 2, circs: goneAt(1), verdict: "lost"},
		{name: "beats at once, but the lease ends", lease: newLease(), now: 15, circs: closed(14, LongConfirmTimeout), verdict: "lost"},
		{name: "a broken connection is silence", lease: newLease(), now: 1, circs: closed(1, 0), verdict: "quiet", deadline: 15, evidence: "connection broke at 12:00:01 UTC"},
		{name: "and waits for the lease", lease: newLease(), now: 14.999, circs: closed(1, 0), verdict: "quiet", deadline: 15},
		{name: "which ends", lease: newLease(), now: 15, circs: closed(1, 0), verdict: "lost", evidence: "the lease ended"},
		{name: "heartbeat after the break", lease: newLease(), now: 1, circs: closed(-1, 0)},
		{name: "reported after the close", lease: newLease(), now: 1, circs: goneAt(-1)},

		{name: "suspended for a day", lease: newLease(beat(job.Heartbeat{Suspended: true}), expires(86400)), now: 86399, circs: before},
		{name: "suspended for longer", lease: newLease(beat(job.Heartbeat{Suspended: true}), expires(86400)), now: 86400, circs: before, verdict: "lost", evidence: "the lease ended"},
		{name: "suspended, and its connection closed", lease: newLease(beat(job.Heartbeat{Suspended: true}), expires(86400)), now: 1001, circs: goneAt(1000.5), verdict: "quiet", deadline: 1001.5},
		{name: "suspended, and did not come back", lease: newLease(beat(job.Heartbeat{Suspended: true}), expires(86400)), now: 1001.5, circs: goneAt(1000.5), verdict: "lost", evidence: "connection closed"},
		{name: "suspended, and its connection broke", lease: newLease(beat(job.Heartbeat{Suspended: true}), expires(86400)), now: 2000, circs: closed(1000, 0)},

		{name: "held with the others", lease: newLease(), now: 15, circs: Circumstances{Since: at(-100), HeldUntil: at(120)}, verdict: "quiet", deadline: 120, evidence: "network"},
		{name: "hold does not touch who reports", lease: newLease(), now: 3, circs: Circumstances{Since: at(-100), HeldUntil: at(120)}},
		{name: "hold covers closed connections", lease: newLease(), now: 9, circs: Circumstances{Since: at(-100), Closed: lease.Closure{At: at(1), Confirm: ConfirmTimeout}, HeldUntil: at(120)}, verdict: "quiet", deadline: 120},
		{name: "the hold is over", lease: newLease(), now: 120, circs: Circumstances{Since: at(-100)}, verdict: "lost"},

		{name: "reports again", lease: newLease(withFinding(job.Finding{Rule: policy.Quiet, Health: job.Warning, Since: at(-20)})), now: 1, circs: before, verdict: "recovered", evidence: "Reported again at 12:00:00 UTC"},
		{name: "other findings stay", lease: newLease(withFinding(memory)), now: 8, circs: before, verdict: "quiet", deadline: 15},
		{name: "other findings alone are none of this rule's", lease: newLease(withFinding(memory)), now: 1, circs: before, verdict: "recovered", evidence: "No longer true"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, changed := Judge(c.lease, at(c.now), c.circs, policy.Default())
			if changed != (c.verdict != "") {
				t.Fatalf("changed is %v, want a verdict %q; got %+v", changed, c.verdict, v)
			}
			if v.Lost != (c.verdict == "lost") {
				t.Fatalf("lost is %v, want %q", v.Lost, c.verdict)
			}
			found, quiet := FindingOf(v.Findings, policy.Quiet)
			if quiet != (c.verdict == "quiet") {
				t.Fatalf("findings %+v, want %q", v.Findings, c.verdict)
			}
			if quiet && !found.NextAt.Equal(at(c.deadline)) {
				t.Errorf("countdown ends %s, want %s", found.NextAt, at(c.deadline))
			}
			if !strings.Contains(v.Evidence, c.evidence) {
				t.Errorf("evidence %q does not say %q", v.Evidence, c.evidence)
			}
			if want := v.Lost && strings.Contains(v.Evidence, "connection closed"); v.Disconnected != want {
				t.Errorf("disconnected is %v, and the evidence says %q", v.Disconnected, v.Evidence)
			}
			if !v.ReportedAt.Equal(c.lease.ReportedAt) || v.Run != c.lease.Run || v.Attempt != c.lease.Attempt {
				t.Errorf("verdict %+v is not of the lease that was judged", v)
			}
			if c.verdict == "lost" {
				return
			}
			if want := Worst(v.Findings); v.Health != want {
				t.Errorf("health %s of findings %+v", v.Health, v.Findings)
			}
			later := c.lease
			later.Findings, later.Health = v.Findings, v.Health
			if _, again := Judge(later, at(c.now), c.circs, policy.Default()); again {
				t.Error("the same facts made another verdict")
			}
		})
	}
}

func TestCloses(t *testing.T) {
	for _, c := range []struct {
		name     string
		d        lease.Disconnect
		together int
		lateAt   time.Time
		confirm  time.Duration
		why      string
	}{
		{"killed", lease.Disconnect{Peer: true}, 1, time.Time{}, ConfirmTimeout, ""},
		{"two killed together", lease.Disconnect{Peer: true}, 2, time.Time{}, ConfirmTimeout, ""},
		{"three", lease.Disconnect{Peer: true}, 3, time.Time{}, LongConfirmTimeout, "more than 2 connections closed within 200ms"},
		{"through a proxy", lease.Disconnect{Peer: true, Indirect: true, Forwarded: true}, 1, time.Time{}, LongConfirmTimeout, "its requests come through a proxy"},
		{"from another address", lease.Disconnect{Peer: true, Indirect: true}, 1, time.Time{}, LongConfirmTimeout, "its own address is not the one that the server sees"},
		{"the server was late just before", lease.Disconnect{Peer: true}, 1, at(-2.9), LongConfirmTimeout, "the server itself was slow"},
		{"the server was late long before", lease.Disconnect{Peer: true}, 1, at(-3), ConfirmTimeout, ""},
		{"the server was late since", lease.Disconnect{Peer: true}, 1, at(0.5), LongConfirmTimeout, "the server itself was slow"},
		{"it would notice soon", lease.Disconnect{Peer: true, Due: at(0.5)}, 1, time.Time{}, LongConfirmTimeout, "it may notice that only when its next heartbeat is due"},
		{"after the server did not run", lease.Disconnect{Peer: true, Stopped: true, Every: 5 * time.Second}, 1, time.Time{}, 5*time.Second + LateHeartbeatLimit, "the server itself did not run before"},
		{"after that, with a short period", lease.Disconnect{Peer: true, Stopped: true, Every: time.Second / 2}, 1, time.Time{}, LongConfirmTimeout, "the server itself did not run before"},
		{"it would notice at the end of its period", lease.Disconnect{Peer: true, Due: at(5)}, 1, time.Time{}, 5*time.Second + LateHeartbeatLimit, "it may notice that only when its next heartbeat is due"},
		{"it should have noticed", lease.Disconnect{Peer: true, Due: at(-50)}, 1, time.Time{}, LongConfirmTimeout, "it may notice that only when its next heartbeat is due"},
		{"timed out", lease.Disconnect{}, 1, time.Time{}, 0, ""},
		{"many timed out, through a proxy, at a late server", lease.Disconnect{Indirect: true}, 9, at(0), 0, ""},
	} {
		c.d.At = noon
		if got := ClosureOf(c.d, c.together, c.lateAt); got != (lease.Closure{At: noon, Confirm: c.confirm, Why: c.why}) {
			t.Errorf("%s: %+v, want %s", c.name, got, c.confirm)
		}
	}
}

func TestJudgeKeepsOtherFindings(t *testing.T) {
	memory := job.Finding{Rule: "memory", Health: job.Critical, Since: noon}
	v, _ := Judge(newLease(withFinding(memory)), at(8), Circumstances{Since: at(-100)}, policy.Default())
	if len(v.Findings) != 2 || v.Findings[0].Rule != "memory" || v.Health != job.Critical {
		t.Fatalf("findings %+v with health %s", v.Findings, v.Health)
	}
}
