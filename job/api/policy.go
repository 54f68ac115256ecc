package api

import (
	"time"

	"stint.dev/stint/job"
)

// RuleResult is the result of one health rule for a run, whether it fires or not.
type RuleResult struct {
	Rule  string `json:"rule"`
	On    bool   `json:"on"` // the job's policy asks for it
	Fires bool   `json:"fires"`
	// Health is how bad it is when the rule holds; empty when it does not.
	Health   job.Health     `json:"health,omitempty"`
	Inputs   map[string]any `json:"inputs"` // figures, units in their names
	Sentence string         `json:"sentence"`
	Next     string         `json:"next,omitempty"` // what happens next, if it goes on
	NextCode job.NextCode   `json:"next_code,omitempty"`
	NextAt   *time.Time     `json:"next_at,omitempty"`
	Since    *time.Time     `json:"since,omitempty"` // nil when the rule does not hold
	// SentenceTimes are the moments that the sentence names.
	SentenceTimes []job.SentenceTime `json:"sentence_times,omitempty"`
}

// Explanation is what the health rules make of a run.
type Explanation struct {
	Policy string       `json:"policy"` // "default", or "job" when the job has one of its own
	Rules  []RuleResult `json:"rules" nullable:"false"`
	// Waiting says why a queued run has not started; nil for a run that is not in the queue.
	Waiting *job.QueuedRun `json:"waiting,omitempty"`
	// Occurrence is the time of a schedule for which the run was made; nil for one that somebody started.
	Occurrence *RunOccurrence `json:"occurrence,omitempty"`
}

// EndedPrefix begins each sentence of the Explanation of a run that has ended.
func EndedPrefix(s job.State) string {
	return "The state of the run is " + string(s) + ", so no rule is evaluated any more. As of its last heartbeat: "
}

// JobPolicy is the policy that holds for a job.
type JobPolicy struct {
	YAML    string     `json:"yaml"`    // as it was set; empty for the default
	Default bool       `json:"default"` // nothing was set
	SetAt   *time.Time `json:"set_at"`
	SetBy   string     `json:"set_by"`
	// Effective is every figure that holds, those of the default included.
	Effective map[string]any `json:"effective"`
	// KeepPending are limits of keep that do not apply yet, because they would delete many runs at once.
	KeepPending []PendingKeep `json:"keep_pending,omitempty"`
}

// PolicyTest is what a policy would have done over stored runs.
type PolicyTest struct {
	Runs       int             `json:"runs"` // how many were replayed
	WouldRaise []ReplayFinding `json:"would_raise" nullable:"false"`
	// WouldMiss are bad ends that nothing would have announced, and findings that were made
	// and that this policy would not make.
	WouldMiss []ReplayFinding `json:"would_miss" nullable:"false"`
}

// ReplayFinding is a finding that a policy would make, or would not have made, in a past run.
type ReplayFinding struct {
	Run      string    `json:"run"`
	Rule     string    `json:"rule"` // or the state in which the run ended
	At       time.Time `json:"at"`
	Sentence string    `json:"sentence"`
	// SentenceTimes are the moments that the sentence names.
	SentenceTimes []job.SentenceTime `json:"sentence_times,omitempty"`
}
