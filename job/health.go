package job

import "time"

// Diagnosis is what the server makes of the evidence about a run that failed, was lost or
// makes no progress.
type Diagnosis struct {
	// Sentence names the most likely cause, for a person.
	Sentence string `json:"sentence"`
	// Causes are all that the evidence speaks for, the most likely first.
	Causes []Cause `json:"causes"`
	// Evidence is the line of the log that states the error, or of a run that makes no progress the
	// last line; nil when there is none.
	Evidence *Evidence `json:"evidence,omitempty"`
}

// Evidence is a line of a log that is quoted.
type Evidence struct {
	Attempt int    `json:"attempt"`
	Step    int    `json:"step"` // its index
	Stream  Stream `json:"stream"`
	Line    int64  `json:"line"` // its number within the attempt, from 1 on
	// Text is what a terminal showed of the line: UTF-8 without control characters, at most 300
	// characters. Of a longer line the middle is left out.
	Text string `json:"text"`
}

// Cause is one possible cause and what speaks for it.
type Cause struct {
	Cause    string  `json:"cause"`    // "out_of_memory", "disk_full", …
	Weight   float64 `json:"weight"`   // 0 to 1: how strongly the evidence speaks for it
	Evidence string  `json:"evidence"` // one sentence
	// Source is what Evidence repeats word for word; empty for none.
	Source CauseSource `json:"source,omitempty"`
}

// CauseSource is a text of a run that a cause repeats.
type CauseSource string

// The texts that causes repeat.
const (
	SourceLog     CauseSource = "log"     // the diagnosis' line of the log
	SourceOutcome CauseSource = "outcome" // the outcome's message
	SourceFinding CauseSource = "finding" // the evidence of the finding that the run stalls
)

// Expected is the band that a job's last good runs make: what is usual for it.
type Expected struct {
	Runs                  int         `json:"runs"` // how many good runs make it, at most 20
	DurationSeconds       Percentiles `json:"duration_seconds"`
	PeakMemoryBytes       Percentiles `json:"peak_memory_bytes"`
	OutputBytesPerSecond  Percentiles `json:"output_bytes_per_second"`
	LongestSilenceSeconds Percentiles `json:"longest_silence_seconds"`
}

// Percentiles are nearest-rank: each is a figure that was measured.
type Percentiles struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
}

// Change is one thing that differs between two runs of a job.
type Change struct {
	What   string `json:"what"` // command, install, lock_file, agent_version, host, labels, environment, limits, profile
	Before string `json:"before"`
	After  string `json:"after"`
}

// RuleResult is the result of one health rule for a run, whether it fires or not.
type RuleResult struct {
	Rule  string `json:"rule"`
	On    bool   `json:"on"` // the job's policy asks for it
	Fires bool   `json:"fires"`
	// Health is how bad it is when the rule holds; empty when it does not.
	Health   Health         `json:"health,omitempty"`
	Inputs   map[string]any `json:"inputs"` // figures, units in their names
	Sentence string         `json:"sentence"`
	Next     string         `json:"next,omitempty"` // what happens next, if it goes on
	NextCode NextCode       `json:"next_code,omitempty"`
	NextAt   *time.Time     `json:"next_at,omitempty"`
	Since    *time.Time     `json:"since,omitempty"` // nil when the rule does not hold
	// SentenceTimes are the moments that the sentence names.
	SentenceTimes []SentenceTime `json:"sentence_times,omitempty"`
}

// ReplayFinding is a finding that a policy would make, or would not have made, in a past run.
type ReplayFinding struct {
	Run      string    `json:"run"`
	Rule     string    `json:"rule"` // or the state in which the run ended
	At       time.Time `json:"at"`
	Sentence string    `json:"sentence"`
	// SentenceTimes are the moments that the sentence names.
	SentenceTimes []SentenceTime `json:"sentence_times,omitempty"`
}

// Explanation is what the health rules make of a run.
type Explanation struct {
	Policy string       `json:"policy"` // "default", or "job" when the job has one of its own
	Rules  []RuleResult `json:"rules" nullable:"false"`
	// Waiting says why a queued run has not started; nil for a run that is not in the queue.
	Waiting *QueuedRun `json:"waiting,omitempty"`
}

// EndedPrefix begins each sentence of the Explanation of a run that has ended.
func EndedPrefix(s State) string {
	return "The run is " + string(s) + ", so nothing is judged. As of its last heartbeat: "
}

// JobPolicy is the policy that holds for a job.
type JobPolicy struct {
	YAML    string     `json:"yaml"`    // as it was set; empty for the default
	Default bool       `json:"default"` // nothing was set
	SetAt   *time.Time `json:"set_at"`
	SetBy   string     `json:"set_by"`
	// Effective is every figure that holds, those of the default included.
	Effective map[string]any `json:"effective"`
}

// PolicyTest is what a policy would have done over stored runs.
type PolicyTest struct {
	Runs       int             `json:"runs"` // how many were replayed
	WouldRaise []ReplayFinding `json:"would_raise" nullable:"false"`
	// WouldMiss are bad ends that nothing would have announced, and findings that were made
	// and that this policy would not make.
	WouldMiss []ReplayFinding `json:"would_miss" nullable:"false"`
}

// Changes is what differs between a run and an earlier one.
type Changes struct {
	Since   *ChangesSince `json:"since"` // nil when there is no run to compare with
	Changes []Change      `json:"changes" nullable:"false"`
}

// ChangesSince is the run that is compared with.
type ChangesSince struct {
	ID      string     `json:"id"`
	Number  int64      `json:"number"`
	EndedAt *time.Time `json:"ended_at"`
}

// Neighbors are the runs of a job between which a run started.
type Neighbors struct {
	Previous *Neighbor `json:"previous"` // nil when there is none
	Next     *Neighbor `json:"next"`     // nil when there is none
}

// Neighbor is a run that started just before or just after another one.
type Neighbor struct {
	ID     string `json:"id"`
	Number int64  `json:"number"`
}

// Band is what good runs used over time, counted from their start.
type Band struct {
	Runs   int         `json:"runs"`
	Points []BandPoint `json:"points" nullable:"false"`
}

// BandPoint is the band at one time.
type BandPoint struct {
	AtSeconds   float64 `json:"at_seconds"`
	CPUCores    Spread  `json:"cpu_cores"`
	MemoryBytes Spread  `json:"memory_bytes"` // in use; zero where it was not measured
}

// Spread is three percentiles.
type Spread struct {
	P10 float64 `json:"p10"`
	P50 float64 `json:"p50"`
	P90 float64 `json:"p90"`
}
