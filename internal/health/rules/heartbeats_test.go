package rules

import (
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// seen is a healthy run that reported last now, at(0), and began an hour before.
func seen(change ...func(*lease.Lease)) lease.Lease {
	l := newLease()
	l.Evidence = lease.Evidence{
		BegunAt: at(-3600), At: noon, MovedAt: noon,
		Beat: job.Heartbeat{Sequence: 9, PeriodMS: 5000, Processes: 2, MemoryBytes: 100 << 20, OutputAgeMS: 1000},
	}
	for range 5 {
		l.Evidence.Recent = append(l.Evidence.Recent, lease.Recent{})
	}
	for _, c := range change {
		c(&l)
	}
	return l
}

func reported(change func(*lease.Evidence)) func(*lease.Lease) {
	return func(l *lease.Lease) { change(&l.Evidence) }
}

// pinged makes a lease that of a run that pings report, with a grace of 100 s.
func pinged(l *lease.Lease) {
	l.Evidence.Limits.Expect, l.Evidence.Limits.Pinged = 100*time.Second, true
}

func holding(rule string) func(*lease.Lease) {
	return func(l *lease.Lease) {
		l.Findings, l.Health = []job.Finding{{Rule: rule, Health: job.Warning, Since: at(-60)}}, job.Warning
	}
}

// holdingBy is holding by one of the thresholds of a rule.
func holdingBy(rule, threshold string, health job.Health) func(*lease.Lease) {
	return func(l *lease.Lease) {
		l.Findings, l.Health = []job.Finding{{Rule: rule, Health: health, Since: at(-60), Facts: map[string]any{"threshold": threshold}}}, health
	}
}

func idle(seconds float64) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) { e.MovedAt = at(-seconds) })
}

func usual(x job.Expected) func(*lease.Lease) {
	x.Runs = 20
	return reported(func(e *lease.Evidence) { e.Expected = &x })
}

func used(percent float64) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) {
		e.Beat.MemoryLimitBytes, e.Beat.MemoryBytes = 1<<30, int64(percent/100*(1<<30))
	})
}

// growing is memory that was used every 20 s until now, ending at 60 % of a limit of 1 GiB.
func growing(bytesPerSecond float64, points int) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) {
		e.Beat.MemoryLimitBytes, e.Beat.MemoryBytes = 1<<30, 6<<30/10
		for i := range points {
			ago := float64(points-1-i) * 20
			e.Memory = append(e.Memory, lease.MemoryPoint{At: at(-ago), Bytes: e.Beat.MemoryBytes - int64(ago*bytesPerSecond)})
		}
	})
}

func skewed(ms ...int64) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) {
		e.Recent = nil
		for _, s := range ms {
			e.Recent = append(e.Recent, lease.Recent{SkewMS: s})
		}
	})
}

func delayed(ms ...int64) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) {
		for i, d := range ms {
			e.Recent[i].DelayMS = d
		}
	})
}

func unsent(bytes int64, since float64) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) { e.Beat.UnsentBytes, e.UnsentSince = bytes, at(-since) })
}

func pressed(percent float64, coreSeconds int64) func(*lease.Lease) {
	return reported(func(e *lease.Evidence) {
		e.Beat.Pressure = &job.Pressure{CPU: percent}
		e.Recent[len(e.Recent)-1].CPUMS = coreSeconds
	})
}

func TestRules(t *testing.T) {
	const minute, limit = 60.0, 1 << 30
	printedAgo := func(seconds float64) func(*lease.Lease) {
		return reported(func(e *lease.Evidence) { e.Beat.OutputAgeMS = int64(seconds * 1000) })
	}
	aged := func(seconds float64) func(*lease.Lease) {
		return reported(func(e *lease.Evidence) { e.BegunAt = at(-seconds) })
	}
	duration := usual(job.Expected{DurationSeconds: job.Percentiles{P50: 300, P95: 600}})
	peak := usual(job.Expected{PeakMemoryBytes: job.Percentiles{P50: 90 << 20, P95: 100 << 20}})
	state := func(s job.State) func(*lease.Lease) { return func(l *lease.Lease) { l.State = s } }
	suspended := func(l *lease.Lease) {
		l.Evidence.Beat.Suspended = true
		l.Beat = &l.Evidence.Beat
	}
	resumed := func(ago float64) func(*lease.Lease) {
		return reported(func(e *lease.Evidence) { e.ResumedAt = at(-ago) })
	}
	with := func(all ...func(*lease.Lease)) []func(*lease.Lease) { return all }
	for _, c := range []struct {
		name   string
		rule   string
		policy string
		lease  []func(*lease.Lease)
		want   job.Health // "" for no finding
		says   string
	}{
		{"moving", "stalled", "", with(), "", ""},
		{"idle just under", "stalled", "", with(idle(15*minute - 0.001)), "", ""},
		{"idle", "stalled", "", with(idle(15 * minute)), job.Warning, "since 11:45:00 UTC"},
		{"idle for long", "stalled", "", with(idle(60*minute - 0.001)), job.Warning, ""},
		{"idle for very long", "stalled", "", with(idle(60 * minute)), job.Critical, ""},
		{"idle while it stops", "stalled", "", with(idle(60*minute), state(job.Stopping)), "", ""},
		{"idle while it installs", "stalled", "", with(idle(20*minute), state(job.Installing)), job.Warning, ""},
		{"always silent for an hour", "stalled", "", with(idle(89*minute), usual(job.Expected{LongestSilenceSeconds: job.Percentiles{P95: 3600}})), "", ""},
		{"silent for longer than ever", "stalled", "", with(idle(90*minute), usual(job.Expected{LongestSilenceSeconds: job.Percentiles{P95: 3600}})), job.Warning, "silent for up to 60 min"},
		{"idle because it gets no processor", "stalled", "", with(idle(20*minute), pressed(95, 100)), "", ""},
		{"idle because it is suspended", "stalled", "", with(idle(60*minute), suspended), "", ""},
		{"another figure", "stalled", "rules: {stalled: {after: 30s}}", with(idle(30)), job.Warning, ""},
		{"another severity", "stalled", "rules: {stalled: {after: 30s}}\nactions: {stalled: {severity: critical}}", with(idle(30)), job.Critical, ""},
		{"off", "stalled", "rules: {stalled: {on: false}}", with(idle(3600)), "", ""},

		{"silent by default", "no_output", "", with(printedAgo(86400)), "", ""},
		{"silent, just under", "no_output", "rules: {no_output: {after: 5m}}", with(printedAgo(5*minute - 0.001)), "", ""},
		{"silent", "no_output", "rules: {no_output: {after: 5m}}", with(printedAgo(5 * minute)), job.Warning, "last printed at 11:55:00"},
		{"silent because it is suspended", "no_output", "rules: {no_output: {after: 5m}}", with(printedAgo(50*minute), suspended), "", ""},
		{"silent before it was suspended", "no_output", "rules: {no_output: {after: 5m}}", with(printedAgo(50*minute), resumed(5*minute-0.001)), "", ""},
		{"silent since it goes on", "no_output", "rules: {no_output: {after: 5m}}", with(printedAgo(50*minute), resumed(5*minute)), job.Warning, "was resumed at 11:55:00"},
		{"printed since it goes on", "no_output", "rules: {no_output: {after: 5m}}", with(printedAgo(minute), resumed(5*minute)), "", ""},
		{"never printed", "no_output", "rules: {no_output: {after: 5m}}", with(reported(func(e *lease.Evidence) { e.Beat.OutputAgeMS = -1 })), job.Warning, "printed nothing since it began"},

		{"nothing to compare with", "overdue", "", with(aged(1e6)), "", ""},
		{"as long as usual", "overdue", "", with(duration, aged(900-0.001)), "", ""},
		{"longer than usual", "overdue", "", with(duration, aged(900)), job.Warning, "half took 5 min and 95 % at most 10 min"},
		{"far longer", "overdue", "", with(duration, aged(1800)), job.Critical, ""},
		{"short jobs have a minute more", "overdue", "", with(usual(job.Expected{DurationSeconds: job.Percentiles{P95: 1}}), aged(60.9)), "", ""},
		{"and not more", "overdue", "", with(usual(job.Expected{DurationSeconds: job.Percentiles{P95: 1}}), aged(61)), job.Warning, ""},
		{"longer than it announced", "overdue", "", with(duration, aged(100), reported(func(e *lease.Evidence) { e.Limits.Expect = 100 * time.Second })), job.Warning, "expected to take no more than 100 s"},
		{"pings do not say the end within the grace", "overdue", "", with(aged(100), pinged), job.Critical, "expected to take no more than 100 s"},
		{"and before", "overdue", "", with(aged(99.9), pinged), "", ""},
		{"pings, longer than the policy says", "overdue", "rules: {overdue: {limit: 70s}}", with(aged(99.9), pinged), job.Warning, ""},
		{"longer than the policy says", "overdue", "rules: {overdue: {limit: 2m}}", with(aged(120)), job.Warning, "the limit in the policy of the job is 2 min"},
		{"suspended for too long", "overdue", "rules: {overdue: {limit: 2m}}", with(aged(120), suspended), job.Warning, ""},
		{"no comparison wanted", "overdue", "rules: {overdue: {factor: 0}}", with(duration, aged(1e6)), "", ""},

		{"under the limit", "memory", "", with(used(89.9)), "", ""},
		{"near the limit", "memory", "", with(used(90.1)), job.Warning, "90 % of its limit of 1 GiB"},
		{"at the limit", "memory", "", with(used(97.1)), job.Critical, ""},
		{"still near", "memory", "", with(used(86), holding("memory")), job.Warning, ""},
		{"no longer near", "memory", "", with(used(84), holding("memory")), "", ""},
		{"a limit of the run's own", "memory", "", with(reported(func(e *lease.Evidence) { e.Beat.MemoryBytes, e.Limits.MemoryBytes = 95, 100 })), job.Warning, ""},
		{"kernel's kills", "memory", "", with(reported(func(e *lease.Evidence) { e.Beat.OOMKills = 2 })), job.Critical, "killed processes"},
		{"growing towards it", "memory", "", with(growing(0.4*limit/599, 10)), job.Warning, "reaches its limit of 1 GiB in about 10 min"},
		{"growing too slowly", "memory", "", with(growing(0.4*limit/620, 10)), "", ""},
		{"growing slowly, but it was a finding", "memory", "", with(growing(0.4*limit/1100, 10), holding("memory")), job.Warning, ""},
		{"grown for too short a time", "memory", "", with(growing(0.4*limit/300, 6)), "", ""},
		{"levelled off", "memory", "", with(growing(0, 10), reported(func(e *lease.Evidence) { e.Memory[0].Bytes, e.Memory[1].Bytes = 1, 1<<28 })), "", ""},
		{"far more than usual", "memory", "", with(peak, reported(func(e *lease.Evidence) { e.Beat.MemoryBytes = 201 << 20 })), job.Warning, "95 % stayed below 100 MiB"},
		{"twice as much is usual enough", "memory", "", with(peak, reported(func(e *lease.Evidence) { e.Beat.MemoryBytes = 200 << 20 })), "", ""},

		{"near critical, and it was a warning", "memory", "", with(used(96.1), holding("memory")), job.Warning, ""},
		{"near critical, and it was critical", "memory", "", with(used(96.1), holdingBy("memory", "percent", job.Critical)), job.Critical, ""},
		{"no longer critical", "memory", "", with(used(95.9), holdingBy("memory", "percent", job.Critical)), job.Warning, ""},
		{"near a limit, but it was above usual", "memory", "", with(used(89), holdingBy("memory", "factor", job.Warning)), "", ""},
		{"growing slowly, but it was near", "memory", "", with(growing(0.4*limit/1100, 10), holdingBy("memory", "percent", job.Warning)), "", ""},
		{"above usual still", "memory", "", with(peak, reported(func(e *lease.Evidence) { e.Beat.MemoryBytes = 190 << 20 }), holdingBy("memory", "factor", job.Warning)), job.Warning, ""},
		{"above usual, but it was near a limit", "memory", "", with(peak, reported(func(e *lease.Evidence) { e.Beat.MemoryBytes = 190 << 20 }), holdingBy("memory", "percent", job.Warning)), "", ""},

		{"in step", "clock_skew", "", with(skewed(-4900, -5000, -5000)), "", ""},
		{"slow network", "clock_skew", "", with(skewed(-20000, -30000, -4000, -20000, -20000)), "", ""},
		{"one late heartbeat proves nothing", "clock_skew", "", with(skewed(-20000)), "", ""},
		{"behind", "clock_skew", "", with(skewed(-7000, -6000, -6500)), job.Warning, "about 6 s behind"},
		{"ahead", "clock_skew", "", with(skewed(0, 3600_000)), job.Warning, "about 60 min ahead of"},
		{"nearly corrected", "clock_skew", "", with(skewed(4500, 4500, 4500), holding("clock_skew")), job.Warning, ""},
		{"corrected", "clock_skew", "", with(skewed(3900, 3900, 3900), holding("clock_skew")), "", ""},

		{"delivers", "spool", "", with(), "", ""},
		{"cannot deliver, just under", "spool", "", with(unsent(64<<20, 299.9)), "", ""},
		{"cannot deliver", "spool", "", with(unsent(64<<20, 300)), job.Warning, "has not arrived since 11:55:00"},
		{"too little to decide", "spool", "", with(unsent(63<<20, 3000)), "", ""},
		{"half of it is left", "spool", "", with(unsent(32<<20, 3000), holding("spool")), job.Warning, ""},
		{"most of it arrived", "spool", "", with(unsent(31<<20, 3000), holding("spool")), "", ""},

		{"two late timers", "starved", "", with(delayed(9000, 9000)), "", ""},
		{"late timers", "starved", "", with(delayed(9000, 2000, 2000)), job.Warning, "more than 2 s late"},
		{"still late", "starved", "", with(delayed(9000, 2000), holding("starved")), job.Warning, ""},
		{"no longer late", "starved", "", with(delayed(9000), holding("starved")), "", ""},
		{"late twice, but it waited for a processor", "starved", "", with(delayed(9000, 2000), holdingBy("starved", "pressure", job.Warning)), "", ""},
		{"waits for a processor", "starved", "", with(pressed(80, 999)), job.Warning, "waits for a processor"},
		{"waits and works", "starved", "", with(pressed(80, 1001)), "", ""},
		{"waits a little", "starved", "", with(pressed(79, 0)), "", ""},
	} {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			p, err := policy.Parse([]byte(c.policy))
			if err != nil {
				t.Fatal(err)
			}
			l := seen(c.lease...)
			v, changed := Judge(l, noon, Circumstances{Since: at(-1000)}, p)
			f, found := FindingOf(v.Findings, c.rule)
			if found != (c.want != "") || f.Health != c.want || !strings.Contains(f.Evidence, c.says) {
				t.Fatalf("findings %+v, want %q saying %q", v.Findings, c.want, c.says)
			}
			if len(v.Findings) > 1 {
				t.Errorf("other rules hold too: %+v", v.Findings)
			}
			ruled := false
			for _, r := range Explain(l, noon, Circumstances{Since: at(-1000)}, p) {
				if r.Rule == c.rule {
					ruled = true
					if r.Fires != found && r.On || r.Sentence == "" || r.Inputs == nil || found && r.Health != c.want {
						t.Errorf("explained as %+v", r)
					}
				}
			}
			if !ruled {
				t.Error("not explained")
			}
			if !changed {
				return
			}
			l.Findings, l.Health = v.Findings, v.Health
			if _, again := Judge(l, noon, Circumstances{Since: at(-1000)}, p); again {
				t.Error("the same facts made another verdict")
			}
		})
	}
}

// What is rows, and what is done, when findings begin, grow worse and pass.
func TestEntriesOfFindings(t *testing.T) {
	p, err := policy.Parse([]byte("rules: {stalled: {after: 30s, critical: 60s}}\nactions: {stalled: {cancel_after: 45s}, lost: {retry: 1, backoff: 10s}}"))
	if err != nil {
		t.Fatal(err)
	}
	l := seen()
	l.Evidence.MovedAt = at(0)
	l.ExpiresAt = at(1000)
	var rows []string
	for s := 0.0; s <= 120; s += 5 {
		if s > 100 {
			l.Evidence.MovedAt = at(100)
		}
		l.ReportedAt, l.Evidence.At = at(s), at(s)
		v, changed := Judge(l, at(s), Circumstances{}, p)
		if !changed {
			continue
		}
		for _, e := range v.Outbox {
			rows = append(rows, strings.Join([]string{e.Kind, e.What, string(e.Severity), at(s).Format("04:05"), e.Ends}, " "))
			if e.Run != l.Run || e.Attempt != 1 || e.Message == "" || !e.At.Equal(at(s)) {
				t.Errorf("entry %+v", e)
			}
		}
		l.Findings, l.Health = v.Findings, v.Health
	}
	want := "notify stalled warning 00:30 |notify stalled critical 01:00 |cancel stalled  01:15 |notify recovered critical 01:45 stalled"
	if got := strings.Join(rows, "|"); got != want {
		t.Errorf("rows %s\nwant %s", got, want)
	}
	v, _ := Judge(l, at(2000), Circumstances{}, p)
	if !v.Lost || len(v.Outbox) != 2 || v.Outbox[0].What != outbox.WhatLost || v.Outbox[1].Kind != outbox.Retry || !v.Outbox[1].After.Equal(at(2010)) {
		t.Errorf("lost: %+v", v.Outbox)
	}
	l.Attempt = 2
	if v, _ := Judge(l, at(2000), Circumstances{}, p); len(v.Outbox) != 1 {
		t.Errorf("lost in the last attempt there may be: %+v", v.Outbox)
	}
}

// People are notified a minute later of a run whose agent only fell silent, and at once of one
// whose agent's side closed its connection.
func TestLostIsNotifiedLaterAfterSilence(t *testing.T) {
	own, err := policy.Parse([]byte("actions: {lost: {after: 5m}}"))
	if err != nil {
		t.Fatal(err)
	}
	none, err := policy.Parse([]byte("actions: {lost: {after: 0s}}"))
	if err != nil {
		t.Fatal(err)
	}
	gone := Circumstances{Closed: lease.Closure{At: at(1990), Confirm: ConfirmTimeout}}
	broken := Circumstances{Closed: lease.Closure{At: at(1990)}} // it timed out, which is silence
	for name, tt := range map[string]struct {
		c     Circumstances
		p     policy.Policy
		after float64
	}{
		"silence": {Circumstances{}, policy.Default(), 60}, "by its policy": {Circumstances{}, own, 300}, "not at all": {Circumstances{}, none, 0},
		"connection broke": {broken, policy.Default(), 60}, "connection closed": {gone, policy.Default(), 0}, "closed, with a policy": {gone, own, 0},
	} {
		l := seen()
		v, _ := Judge(l, at(2000), tt.c, tt.p)
		if !v.Lost || len(v.Outbox) != 1 || !v.Outbox[0].At.Equal(at(2000)) || !v.Outbox[0].After.Equal(at(2000+tt.after)) {
			t.Errorf("%s: lost %t, %+v", name, v.Lost, v.Outbox)
		}
	}
}
