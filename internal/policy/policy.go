// Package policy reads the policies of jobs: which health rules are on, their thresholds, what to do
// when one fires: notify, cancel, retry, and how long runs are kept. A policy is written in a subset of YAML. It
// is checked when it is set, and a mistake is refused with line and column.
package policy

import (
	"math"
	"slices"
	"time"

	"stint.dev/stint/job"
)

// The rules, in the order in which they are explained.
const (
	Quiet     = "quiet"
	Stalled   = "stalled"
	NoOutput  = "no_output"
	Overdue   = "overdue"
	Memory    = "memory"
	ClockSkew = "clock_skew"
	Spool     = "spool"
	Starved   = "starved"
	Waiting   = "waiting" // of runs in the queue
)

// The rules about jobs: their findings have no run.
const (
	Missed  = "missed"  // a job was due and somebody else has not started it
	Skipped = "skipped" // a schedule does not start its job
)

// Ends of a run that a policy may act on, besides the rules.
const (
	Failed    = "failed"
	TimedOut  = "timed_out"
	Lost      = "lost"
	Recovered = "recovered"
)

// Rules lists the rules.
func Rules() []string {
	return []string{Quiet, Stalled, NoOutput, Overdue, Memory, ClockSkew, Spool, Starved, Waiting}
}

// JobRules lists the rules about jobs.
func JobRules() []string { return []string{Missed, Skipped} }

// Ends lists the ends.
func Ends() []string { return []string{Failed, TimedOut, Lost, Recovered} }

// Span is a duration; in JSON it is in seconds.
type Span time.Duration

// MarshalJSON writes seconds.
func (s Span) MarshalJSON() ([]byte, error) {
	return appendNumber(nil, time.Duration(s).Seconds()), nil
}

// D is the span as a time.Duration.
func (s Span) D() time.Duration { return time.Duration(s) }

// Policy has the health rules and the actions of a job, and how long its runs are kept.
type Policy struct {
	Quiet     QuietRule     `json:"quiet"`
	Stalled   StalledRule   `json:"stalled"`
	NoOutput  NoOutputRule  `json:"no_output"`
	Overdue   OverdueRule   `json:"overdue"`
	Memory    MemoryRule    `json:"memory"`
	ClockSkew ClockSkewRule `json:"clock_skew"`
	Spool     SpoolRule     `json:"spool"`
	Starved   StarvedRule   `json:"starved"`
	Waiting   WaitingRule   `json:"waiting"`
	Skipped   SkippedRule   `json:"skipped"`
	// Actions has one row for each rule, also about jobs, and each end.
	Actions map[string]Action `json:"actions"`
	Keep    Keep              `json:"keep"`
}

// QuietRule is about missing heartbeats. If it is off, silence makes no finding; a run whose lease
// expires is still called lost.
type QuietRule struct {
	On bool `json:"on"`
}

// StalledRule is about a job that makes no progress: no output, no CPU, no IO.
type StalledRule struct {
	On bool `json:"on"`
	// After is how long that makes a warning, and Critical how long is critical. A job
	// whose good runs were silent for long has one and a half times their silence.
	After    Span `json:"after_seconds"`
	Critical Span `json:"critical_seconds"`
}

// NoOutputRule is about a job that prints nothing.
type NoOutputRule struct {
	On    bool `json:"on"`
	After Span `json:"after_seconds"`
}

// OverdueRule is about a run that takes too long.
type OverdueRule struct {
	On bool `json:"on"`
	// Limit makes every run overdue that takes longer; 0 for none.
	Limit Span `json:"limit_seconds"`
	// Factor times what 95 % of the good runs needed is too long, and at least AtLeast more
	// than that. 0 switches the comparison off.
	Factor  float64 `json:"factor"`
	AtLeast Span    `json:"at_least_seconds"`
}

// MemoryRule is about memory near its limit, or growing towards it.
type MemoryRule struct {
	On       bool    `json:"on"`
	Percent  float64 `json:"percent"`
	Critical float64 `json:"critical_percent"`
	// Within is the time until memory reaches its limit at the present slope below which there
	// is a finding; 0 switches the forecast off.
	Within Span `json:"within_seconds"`
	// Factor times the peak of 95 % of the good runs is worth a finding; 0 for never.
	Factor float64 `json:"factor"`
}

// ClockSkewRule is about the clock of the agent's host.
type ClockSkewRule struct {
	On   bool `json:"on"`
	Over Span `json:"over_seconds"`
}

// SpoolRule fires if an agent is alive and cannot deliver its journal.
type SpoolRule struct {
	On    bool  `json:"on"`
	After Span  `json:"after_seconds"`
	Bytes int64 `json:"bytes"`
}

// StarvedRule is about an agent or a job that does not get the processor.
type StarvedRule struct {
	On    bool `json:"on"`
	Delay Span `json:"delay_seconds"`
	// Pressure is the share of time, in percent, in which tasks of the job waited for a
	// processor, from which on a job that gets none is starved.
	Pressure float64 `json:"pressure_percent"`
}

// WaitingRule is about a run in the queue that does not start.
type WaitingRule struct {
	On bool `json:"on"`
	// After is how long a run may wait, and Occurrence how long one may that is an occurrence of a schedule.
	After      Span `json:"after_seconds"`
	Occurrence Span `json:"occurrence_seconds"`
}

// SkippedRule is about a schedule whose occurrences do not become runs.
type SkippedRule struct {
	On bool `json:"on"`
	// Times is how many occurrences in a row that makes a finding. One that is refused makes one at once.
	Times int64 `json:"times"`
}

// Action is what is done when a rule holds, or a run ended in a certain way.
type Action struct {
	Notify bool `json:"notify"`
	// Severity replaces the rule's own; empty for no change.
	Severity job.Health `json:"severity,omitempty"`
	// Cancel asks the run to stop once the finding has held for CancelAfter. For rules about runs only.
	Cancel      bool `json:"cancel,omitempty"`
	CancelAfter Span `json:"cancel_after_seconds,omitempty"`
	// Retry is how many further attempts may be begun, Backoff the pause before the first.
	// For ends only.
	Retry   int  `json:"retry,omitempty"`
	Backoff Span `json:"backoff_seconds,omitempty"`
	// After is how long people are not notified of a lost run whose agent only fell silent, and
	// are not at all if it reports again. For Lost only.
	After Span `json:"after_seconds,omitempty"`
}

// Default is the policy of a job that has none of its own.
func Default() Policy {
	p := Policy{
		Quiet:     QuietRule{On: true},
		Stalled:   StalledRule{On: true, After: Span(15 * time.Minute), Critical: Span(time.Hour)},
		NoOutput:  NoOutputRule{After: Span(15 * time.Minute)},
		Overdue:   OverdueRule{On: true, Factor: 1.5, AtLeast: Span(time.Minute)},
		Memory:    MemoryRule{On: true, Percent: 90, Critical: 97, Within: Span(10 * time.Minute), Factor: 2},
		ClockSkew: ClockSkewRule{On: true, Over: Span(5 * time.Second)},
		Spool:     SpoolRule{On: true, After: Span(5 * time.Minute), Bytes: 64 << 20},
		Starved:   StarvedRule{On: true, Delay: Span(2 * time.Second), Pressure: 80},
		Waiting:   WaitingRule{On: true, After: Span(time.Hour), Occurrence: Span(15 * time.Minute)},
		Skipped:   SkippedRule{On: true, Times: 2},
		Actions:   map[string]Action{},
	}
	for _, name := range slices.Concat(Rules(), JobRules(), Ends()) {
		p.Actions[name] = Action{Notify: true, Backoff: backoffOf(name)}
	}
	lost := p.Actions[Lost]
	lost.After = Span(time.Minute)
	p.Actions[Lost] = lost
	for _, quiet := range []string{Quiet, ClockSkew, Starved} {
		p.Actions[quiet] = Action{}
	}
	return p
}

func backoffOf(name string) Span {
	if name == Failed || name == TimedOut || name == Lost {
		return Span(30 * time.Second)
	}
	return 0
}

// On reports whether a rule is on.
func (p Policy) On(rule string) bool {
	switch rule {
	case Quiet:
		return p.Quiet.On
	case Stalled:
		return p.Stalled.On
	case NoOutput:
		return p.NoOutput.On
	case Overdue:
		return p.Overdue.On
	case Memory:
		return p.Memory.On
	case ClockSkew:
		return p.ClockSkew.On
	case Spool:
		return p.Spool.On
	case Starved:
		return p.Starved.On
	case Waiting:
		return p.Waiting.On
	case Skipped:
		return p.Skipped.On
	}
	return false
}

// Longest is the longest span that a policy may have: longer ones are typing errors.
const Longest = 366 * 24 * time.Hour

// finite reports whether f is a number to compare with.
func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
