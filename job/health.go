package job

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
