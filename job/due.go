package job

// Expectation says when a job is expected to be started by somebody else than Stint. Exactly one of
// EverySeconds and Cron is set.
type Expectation struct {
	EverySeconds int64  `json:"every_seconds,omitempty"`
	Cron         string `json:"cron,omitempty"`
	Zone         string `json:"zone,omitempty"`
	// GraceSeconds is how long after it was due a run counts as missed; 0 for an hour.
	GraceSeconds int64 `json:"grace_seconds,omitempty"`
}
