package job

import "time"

// Diagnosis is what the server makes of the evidence about a run that failed, was lost or
// makes no progress.
type Diagnosis struct {
	// Sentence names the most likely cause, for a person.
	Sentence string `json:"sentence"`
	// Causes are all that the evidence speaks for, the most likely first.
	Causes []Cause `json:"causes"`
}

// Cause is one possible cause and what speaks for it.
type Cause struct {
	Cause    string  `json:"cause"`    // "out_of_memory", "disk_full", …
	Weight   float64 `json:"weight"`   // 0 to 1: how strongly the evidence speaks for it
	Evidence string  `json:"evidence"` // one sentence
}

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

// Ruling is what one health rule says of a run, whether it holds or not.
type Ruling struct {
	Rule  string `json:"rule"`
	On    bool   `json:"on"` // the job's policy asks for it
	Fires bool   `json:"fires"`
	// Health is how bad it is when the rule holds; empty when it does not.
	Health   Health         `json:"health,omitempty"`
	Inputs   map[string]any `json:"inputs"` // figures, units in their names
	Sentence string         `json:"sentence"`
	Next     string         `json:"next,omitempty"` // what happens next, if it goes on
	NextAt   *time.Time     `json:"next_at,omitempty"`
	Since    *time.Time     `json:"since,omitempty"` // nil when the rule does not hold
}
