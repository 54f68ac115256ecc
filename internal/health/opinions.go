package health

import (
	"fmt"
	"math"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// nextWords says for a person what happens next.
var nextWords = map[job.NextCode]string{
	job.NextLost:      "the run is called lost",
	job.NextCritical:  "it becomes critical",
	job.NextCancel:    "the run is canceled",
	job.NextCanceling: "the run is being canceled",
}

// setNext sets what happens to a finding's run and when; an empty code for nothing.
func setNext(f *job.Finding, code job.NextCode, at *time.Time) {
	f.Next, f.NextCode, f.NextAt = nextWords[code], code, at
}

// restsSuspended is what rules about progress say of a job that is stopped.
const restsSuspended = "The job is suspended, and this rule rests."

// opinion is what a rule makes of the evidence, before policy's actions come in.
type opinion struct {
	fires    bool
	health   job.Health
	since    time.Time // zero: since it was first found
	sentence string
	inputs   map[string]any
	critical time.Time // when it becomes critical if it goes on; zero for never
}

// evidence is what rules look at: all of it is the server's clock.
type evidence struct {
	lease.Evidence
	state  job.State
	policy policy.Policy
	now    time.Time
	before job.Finding // of the same rule; zero if it did not hold
}

// holds reports whether the rule holds already, by one of its thresholds: then it takes more
// to end that than to begin it. What holds by another threshold, or less severely, lowers
// none. A finding that does not say which one it holds by is of an older server.
func (e evidence) holds(threshold string, at job.Health) bool {
	by, known := e.before.Facts[thresholdFact]
	return e.before.Rule != "" && (!known || by == threshold) && (at == job.Warning || e.before.Health == at)
}

// thresholdFact names the threshold of a rule of several by which it holds.
const thresholdFact = "threshold"

// rules are those that judge by heartbeats, in the order of their importance.
var rules = []struct {
	name string
	of   func(evidence) opinion
}{
	{policy.Memory, memory},
	{policy.Stalled, stalled},
	{policy.Starved, starved},
	{policy.Overdue, overdue},
	{policy.NoOutput, noOutput},
	{policy.Spool, spool},
	{policy.ClockSkew, clockSkew},
}

func (e evidence) working() bool { return e.state == job.Installing || e.state == job.Running }

// stalled: no output, no CPU, no IO and no word of the job. A job that gets no processor is
// starved, not stalled; one whose good runs were silent for long is given more time.
func stalled(e evidence) opinion {
	p := e.policy.Stalled
	after, critical := p.After.D(), p.Critical.D()
	compare := ""
	if e.Expected != nil {
		usual := seconds(e.Expected.LongestSilenceSeconds.P95)
		if usual*3/2 > after {
			critical += usual*3/2 - after
			after = usual * 3 / 2
			compare = fmt.Sprintf(" Its good runs were silent for up to %s.", span(usual))
		}
	}
	idle := e.At.Sub(e.MovedAt)
	o := opinion{inputs: map[string]any{
		"idle_seconds": rounded(idle.Seconds()), "after_seconds": after.Seconds(), "critical_seconds": critical.Seconds(),
		"cpu_seconds": rounded(e.Beat.CPUSeconds), "disk_bytes": e.Beat.ReadBytes + e.Beat.WrittenBytes,
	}}
	if e.Expected != nil {
		o.inputs["usual_silence_p95_seconds"] = e.Expected.LongestSilenceSeconds.P95
	}
	if e.Beat.Suspended {
		o.sentence = restsSuspended
		return o
	}
	o.fires = e.working() && idle >= after && !unscheduled(e)
	if !o.fires {
		o.sentence = fmt.Sprintf("The job last made progress at %s; the limit is %s.%s", clock(e.MovedAt), span(after), compare)
		return o
	}
	o.since, o.health = e.MovedAt.Add(after), job.Warning
	o.critical = e.MovedAt.Add(critical)
	if idle >= critical {
		o.health = job.Critical
	}
	o.sentence = fmt.Sprintf("No output, no CPU and no IO since %s.%s", clock(e.MovedAt), compare)
	return o
}

// noOutput: nothing was printed for long.
func noOutput(e evidence) opinion {
	last := e.OutputAt()
	words := "The job last printed at " + clock(last)
	if last.IsZero() {
		last = e.BegunAt
		words = "The job has printed nothing since it began at " + clock(last)
	}
	if e.ResumedAt.After(last) {
		last = e.ResumedAt
		words += ", and goes on since " + clock(last)
	}
	silent := e.At.Sub(last)
	after := e.policy.NoOutput.After.D()
	if e.Beat.Suspended {
		return opinion{sentence: restsSuspended, inputs: map[string]any{"after_seconds": after.Seconds()}}
	}
	return opinion{
		fires: e.working() && silent >= after, health: job.Warning, since: last.Add(after),
		sentence: words + "; the limit is " + span(after) + ".",
		inputs:   map[string]any{"silent_seconds": rounded(silent.Seconds()), "after_seconds": after.Seconds()},
	}
}

// overdue: longer than it announced itself, than the policy allows, or than its good runs.
func overdue(e evidence) opinion {
	age := e.now.Sub(e.BegunAt)
	limit, why := overdueLimit(e)
	o := opinion{inputs: map[string]any{"age_seconds": rounded(age.Seconds())}}
	if e.Expected != nil {
		o.inputs["usual_p50_seconds"], o.inputs["usual_p95_seconds"] = e.Expected.DurationSeconds.P50, e.Expected.DurationSeconds.P95
		o.inputs["good_runs"] = e.Expected.Runs
	}
	if limit <= 0 {
		o.sentence = "There is nothing to compare with: no limit was given, and the job has fewer than 3 good runs."
		return o
	}
	o.inputs["limit_seconds"] = limit.Seconds()
	due := e.BegunAt.Add(limit)
	o.sentence = fmt.Sprintf("It is overdue at %s: %s.", clock(due), why)
	if age >= limit && e.state != job.Stopping {
		o.fires, o.health, o.since = true, job.Warning, due
		o.sentence = fmt.Sprintf("It has run for more than %s: %s.", span(limit), why)
		o.critical = e.BegunAt.Add(2 * limit)
		if age >= 2*limit {
			o.health = job.Critical
		}
	}
	return o
}

// overdueLimit is the shortest that applies, and the words for it; 0 for none.
func overdueLimit(e evidence) (limit time.Duration, why string) {
	take := func(d time.Duration, words string) {
		if d > 0 && (limit == 0 || d < limit) {
			limit, why = d, words
		}
	}
	p := e.policy.Overdue
	take(e.Limits.Expect, "it was started with --expect "+span(e.Limits.Expect))
	take(p.Limit.D(), "the policy of the job says "+span(p.Limit.D()))
	if x := e.Expected; x != nil && p.Factor > 0 && x.DurationSeconds.P95 > 0 {
		usual := seconds(x.DurationSeconds.P95)
		most := max(seconds(x.DurationSeconds.P95*p.Factor), usual+p.AtLeast.D())
		take(most, fmt.Sprintf("of its last %d good runs half took %s and 95 %% at most %s", x.Runs, span(seconds(x.DurationSeconds.P50)), span(usual)))
	}
	return limit, why
}

// clockSkew: the agent's clock is off. A heartbeat needs time to arrive, which makes the
// agent's clock look late: of the last heartbeats the quickest counts.
func clockSkew(e evidence) opinion {
	over := e.policy.ClockSkew.Over.D()
	if e.before.Rule != "" {
		over = over * 8 / 10
	}
	skew := time.Duration(0)
	for i, r := range e.Recent {
		if d := time.Duration(r.SkewMS) * time.Millisecond; i == 0 || d > skew {
			skew = d
		}
	}
	o := opinion{inputs: map[string]any{"skew_seconds": rounded(skew.Seconds()), "over_seconds": over.Seconds()}, health: job.Warning}
	word := "ahead of"
	if skew < 0 {
		word = "behind"
	}
	o.fires = skew.Abs() > over && (skew > 0 || len(e.Recent) >= 3)
	o.sentence = fmt.Sprintf("The clock of the agent's host is about %s %s the server's; times in the log are the host's.", coarse(skew.Abs()), word)
	if !o.fires {
		o.sentence = "The clocks of the agent's host and of the server agree."
	}
	return o
}

// spool: heartbeats arrive, but what it has to deliver stays with it.
func spool(e evidence) opinion {
	p := e.policy.Spool
	lasting := time.Duration(0)
	if !e.UnsentSince.IsZero() {
		lasting = e.At.Sub(e.UnsentSince)
	}
	need := max(p.Bytes, lease.Backlog)
	if e.before.Rule != "" {
		need = max(need/2, lease.Backlog)
	}
	o := opinion{health: job.Warning, inputs: map[string]any{
		"unsent_bytes": e.Beat.UnsentBytes, "bytes": need, "backlog_seconds": rounded(lasting.Seconds()), "after_seconds": p.After.D().Seconds(),
	}}
	o.fires = lasting >= p.After.D() && e.Beat.UnsentBytes >= need
	if o.fires {
		o.since = e.UnsentSince.Add(p.After.D())
		o.sentence = fmt.Sprintf("Heartbeats arrive, but more of its journal than %s has not arrived since %s.", job.Bytes(max(p.Bytes, lease.Backlog)/2), clock(e.UnsentSince))
		return o
	}
	o.sentence = "What the agent has to deliver arrives."
	return o
}

// starved: the agent's own timers fire late, or the job wants a processor and gets none.
func starved(e evidence) opinion {
	p := e.policy.Starved
	late, worst := 0, int64(0)
	for _, r := range e.Recent {
		if r.DelayMS >= p.Delay.D().Milliseconds() {
			late++
		}
		worst = max(worst, r.DelayMS)
	}
	enough := 3
	if e.holds("delay", job.Warning) {
		enough = 2
	}
	o := opinion{health: job.Warning, inputs: map[string]any{
		"late_heartbeats": late, "of_heartbeats": len(e.Recent), "worst_delay_seconds": float64(worst) / 1000, "delay_seconds": p.Delay.D().Seconds(),
	}}
	if e.Beat.Pressure != nil {
		o.inputs["cpu_pressure_percent"] = e.Beat.Pressure.CPU
	}
	switch {
	case late >= enough:
		o.inputs[thresholdFact] = "delay"
		o.fires, o.sentence = true, fmt.Sprintf("The agent is not being scheduled: its timers fired more than %s late. The host is overloaded, or was paused.", span(p.Delay.D()))
	case unscheduled(e):
		o.inputs[thresholdFact] = "pressure"
		o.fires, o.sentence = true, "The job waits for a processor and hardly gets one: the host or its limit has no CPU left for it."
	default:
		o.sentence = "The agent and the job are scheduled."
	}
	return o
}

// unscheduled reports whether the job waits for a processor and gets almost none.
func unscheduled(e evidence) bool {
	if e.Beat.Pressure == nil || e.Beat.Pressure.CPU < e.policy.Starved.Pressure || len(e.Recent) < 3 {
		return false
	}
	first, last := e.Recent[0], e.Recent[len(e.Recent)-1]
	span := time.Duration(len(e.Recent)-1) * max(time.Duration(e.Beat.PeriodMS)*time.Millisecond, time.Second)
	return float64(last.CPUMS-first.CPUMS)/1000 < 0.05*span.Seconds()
}

func seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), math.MaxInt64/4e9) * float64(time.Second))
}

func rounded(s float64) float64 { return math.Round(s*1000) / 1000 }
