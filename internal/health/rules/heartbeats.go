package rules

import (
	"fmt"
	"math"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
)

// nextTexts are the texts for what happens next.
var nextTexts = map[job.NextCode]string{
	job.NextLost:      "the run is called lost",
	job.NextCritical:  "it becomes critical",
	job.NextCancel:    "the run is canceled",
	job.NextCanceling: "the run is being canceled",
}

// setNext sets what happens next to the run of a finding, and when; nothing with an empty code.
func setNext(f *job.Finding, code job.NextCode, at *time.Time) {
	f.Next, f.NextCode, f.NextAt = nextTexts[code], code, at
}

// suspendedText is the sentence of the rules about progress for a suspended job.
const suspendedText = "The job is suspended, so this rule does not apply."

// result is the result of a rule, without the actions of the policy.
type result struct {
	fires    bool
	health   job.Health
	since    time.Time // zero for when it was found first
	sentence string
	inputs   map[string]any
	critical time.Time // when it becomes critical if nothing changes; zero for never
}

// evidence is the input of the rules. All times are of the server's clock.
type evidence struct {
	lease.Evidence
	state  job.State
	policy policy.Policy
	now    time.Time
	before job.Finding // the present finding of the same rule; zero for none
}

// exceeded reports whether there is a finding of the rule because of a threshold, so that a lower value
// ends it. A finding because of another threshold, or a less severe one, does not lower a threshold. A
// finding without a threshold was made by an older server.
func (e evidence) exceeded(threshold string, at job.Health) bool {
	by, known := e.before.Facts[thresholdInput]
	return e.before.Rule != "" && (!known || by == threshold) && (at == job.Warning || e.before.Health == at)
}

// thresholdInput is the input with the threshold that was exceeded, of a rule that has several.
const thresholdInput = "threshold"

// rules are the rules about heartbeats, most important first.
var rules = []struct {
	name string
	of   func(evidence) result
}{
	{policy.Memory, memory},
	{policy.Stalled, stalled},
	{policy.Starved, starved},
	{policy.Overdue, overdue},
	{policy.NoOutput, noOutput},
	{policy.Spool, spool},
	{policy.ClockSkew, clockSkew},
}

// isWorking reports whether the attempt installs or runs.
func (e evidence) isWorking() bool { return e.state == job.Installing || e.state == job.Running }

// stalled fires if the job makes no progress: no output, no CPU, no IO and no status. A job that gets no
// processor is starved and not stalled. A job whose good runs were silent for long has more time.
func stalled(e evidence) result {
	p := e.policy.Stalled
	after, critical := p.After.D(), p.Critical.D()
	compare := ""
	if e.Expected != nil {
		usual := Seconds(e.Expected.LongestSilenceSeconds.P95)
		if usual*3/2 > after {
			critical += usual*3/2 - after
			after = usual * 3 / 2
			compare = fmt.Sprintf(" Its good runs were silent for up to %s.", Span(usual))
		}
	}
	idle := e.At.Sub(e.MovedAt)
	o := result{inputs: map[string]any{
		"idle_seconds": rounded(idle.Seconds()), "after_seconds": after.Seconds(), "critical_seconds": critical.Seconds(),
		"cpu_seconds": rounded(e.Beat.CPUSeconds), "disk_bytes": e.Beat.ReadBytes + e.Beat.WrittenBytes,
	}}
	if e.Expected != nil {
		o.inputs["usual_silence_p95_seconds"] = e.Expected.LongestSilenceSeconds.P95
	}
	if e.Beat.Suspended {
		o.sentence = suspendedText
		return o
	}
	o.fires = e.isWorking() && idle >= after && !isUnscheduled(e)
	if !o.fires {
		o.sentence = fmt.Sprintf("The job last made progress at %s; the limit is %s.%s", Clock(e.MovedAt), Span(after), compare)
		return o
	}
	o.since, o.health = e.MovedAt.Add(after), job.Warning
	o.critical = e.MovedAt.Add(critical)
	if idle >= critical {
		o.health = job.Critical
	}
	o.sentence = fmt.Sprintf("No output, no CPU and no IO since %s.%s", Clock(e.MovedAt), compare)
	return o
}

// noOutput fires if the job has printed nothing for long.
func noOutput(e evidence) result {
	last := e.OutputAt()
	text := "The job last printed at " + Clock(last)
	if last.IsZero() {
		last = e.BegunAt
		text = "The job has printed nothing since it began at " + Clock(last)
	}
	if e.ResumedAt.After(last) {
		last = e.ResumedAt
		text += ", and was resumed at " + Clock(last)
	}
	silent := e.At.Sub(last)
	after := e.policy.NoOutput.After.D()
	if e.Beat.Suspended {
		return result{sentence: suspendedText, inputs: map[string]any{"after_seconds": after.Seconds()}}
	}
	return result{
		fires: e.isWorking() && silent >= after, health: job.Warning, since: last.Add(after),
		sentence: text + "; the limit is " + Span(after) + ".",
		inputs:   map[string]any{"silent_seconds": rounded(silent.Seconds()), "after_seconds": after.Seconds()},
	}
}

// overdue fires if the run takes longer than its --expect (of a run that is reported by pings, the grace of its
// job), than the limit of the policy, or than its good runs. It is critical after twice that time; of a run that is reported
// by pings already when the grace is over, because nothing else is known of it.
func overdue(e evidence) result {
	age := e.now.Sub(e.BegunAt)
	limit, why := overdueLimit(e)
	o := result{inputs: map[string]any{"age_seconds": rounded(age.Seconds())}}
	if e.Expected != nil {
		o.inputs["usual_p50_seconds"], o.inputs["usual_p95_seconds"] = e.Expected.DurationSeconds.P50, e.Expected.DurationSeconds.P95
		o.inputs["good_runs"] = e.Expected.Runs
	}
	if limit <= 0 {
		o.sentence = "The run has no limit: none was given, and the job has fewer than 3 good runs."
		return o
	}
	o.inputs["limit_seconds"] = limit.Seconds()
	due := e.BegunAt.Add(limit)
	o.sentence = fmt.Sprintf("It is overdue at %s: %s.", Clock(due), why)
	if age >= limit && e.state != job.Stopping {
		o.fires, o.health, o.since = true, job.Warning, due
		o.sentence = fmt.Sprintf("It has run for more than %s: %s.", Span(limit), why)
		critical := 2 * limit
		if e.Limits.Pinged {
			critical = min(critical, e.Limits.Expect)
		}
		o.critical = e.BegunAt.Add(critical)
		if age >= critical {
			o.health = job.Critical
		}
	}
	return o
}

// overdueLimit returns the shortest limit that applies, and the reason for it; 0 for none.
func overdueLimit(e evidence) (limit time.Duration, why string) {
	apply := func(d time.Duration, reason string) {
		if d > 0 && (limit == 0 || d < limit) {
			limit, why = d, reason
		}
	}
	p := e.policy.Overdue
	apply(e.Limits.Expect, "it was expected to take no more than "+Span(e.Limits.Expect))
	apply(p.Limit.D(), "the limit in the policy of the job is "+Span(p.Limit.D()))
	if x := e.Expected; x != nil && p.Factor > 0 && x.DurationSeconds.P95 > 0 {
		usual := Seconds(x.DurationSeconds.P95)
		slowest := max(Seconds(x.DurationSeconds.P95*p.Factor), usual+p.AtLeast.D())
		apply(slowest, fmt.Sprintf("of its last %d good runs half took %s and 95 %% at most %s", x.Runs, Span(Seconds(x.DurationSeconds.P50)), Span(usual)))
	}
	return limit, why
}

// clockSkew fires if the clock of the agent's host is wrong. A heartbeat needs time to arrive, which makes
// that clock seem late, so the fastest of the last heartbeats counts.
func clockSkew(e evidence) result {
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
	o := result{inputs: map[string]any{"skew_seconds": rounded(skew.Seconds()), "over_seconds": over.Seconds()}, health: job.Warning}
	relation := "ahead of"
	if skew < 0 {
		relation = "behind"
	}
	o.fires = skew.Abs() > over && (skew > 0 || len(e.Recent) >= 3)
	o.sentence = fmt.Sprintf("The clock of the agent's host is about %s %s the server's; times in the log are the host's.", roundedSpan(skew.Abs()), relation)
	if !o.fires {
		o.sentence = "The clocks of the agent's host and of the server agree."
	}
	return o
}

// spool fires if heartbeats arrive, but the journal does not.
func spool(e evidence) result {
	p := e.policy.Spool
	lasting := time.Duration(0)
	if !e.UnsentSince.IsZero() {
		lasting = e.At.Sub(e.UnsentSince)
	}
	need := max(p.Bytes, lease.Backlog)
	if e.before.Rule != "" {
		need = max(need/2, lease.Backlog)
	}
	o := result{health: job.Warning, inputs: map[string]any{
		"unsent_bytes": e.Beat.UnsentBytes, "bytes": need, "backlog_seconds": rounded(lasting.Seconds()), "after_seconds": p.After.D().Seconds(),
	}}
	o.fires = lasting >= p.After.D() && e.Beat.UnsentBytes >= need
	if o.fires {
		o.since = e.UnsentSince.Add(p.After.D())
		o.sentence = fmt.Sprintf("Heartbeats arrive, but more of its journal than %s has not arrived since %s.", job.Bytes(max(p.Bytes, lease.Backlog)/2), Clock(e.UnsentSince))
		return o
	}
	o.sentence = "The journal arrives."
	return o
}

// starved fires if the agent's timers fire late, or if the job waits for a processor.
func starved(e evidence) result {
	p := e.policy.Starved
	late, worst := 0, int64(0)
	for _, r := range e.Recent {
		if r.DelayMS >= p.Delay.D().Milliseconds() {
			late++
		}
		worst = max(worst, r.DelayMS)
	}
	enough := 3
	if e.exceeded("delay", job.Warning) {
		enough = 2
	}
	o := result{health: job.Warning, inputs: map[string]any{
		"late_heartbeats": late, "of_heartbeats": len(e.Recent), "worst_delay_seconds": float64(worst) / 1000, "delay_seconds": p.Delay.D().Seconds(),
	}}
	if e.Beat.Pressure != nil {
		o.inputs["cpu_pressure_percent"] = e.Beat.Pressure.CPU
	}
	switch {
	case late >= enough:
		o.inputs[thresholdInput] = "delay"
		o.fires, o.sentence = true, fmt.Sprintf("The agent is not scheduled in time: its timers fired more than %s late. The host is overloaded, or was paused.", Span(p.Delay.D()))
	case isUnscheduled(e):
		o.inputs[thresholdInput] = "pressure"
		o.fires, o.sentence = true, "The job waits for a processor and hardly gets one: the host, or its CPU limit, has no CPU time left."
	default:
		o.sentence = "The agent and the job are scheduled in time."
	}
	return o
}

// unscheduled reports whether the job waits for a processor and gets almost none.
func isUnscheduled(e evidence) bool {
	if e.Beat.Pressure == nil || e.Beat.Pressure.CPU < e.policy.Starved.Pressure || len(e.Recent) < 3 {
		return false
	}
	first, last := e.Recent[0], e.Recent[len(e.Recent)-1]
	span := time.Duration(len(e.Recent)-1) * max(time.Duration(e.Beat.PeriodMS)*time.Millisecond, time.Second)
	return float64(last.CPUMS-first.CPUMS)/1000 < 0.05*span.Seconds()
}

// Seconds returns a number of seconds as a duration, from 0 to a limit that durations can represent.
func Seconds(s float64) time.Duration {
	return time.Duration(min(max(s, 0), math.MaxInt64/4e9) * float64(time.Second))
}

// rounded returns a number with three decimals.
func rounded(s float64) float64 { return math.Round(s*1000) / 1000 }
