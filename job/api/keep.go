package api

import "time"

// PendingKeep is a limit of retention that waits, because it would delete more than a tenth of all ended runs at once.
type PendingKeep struct {
	Setting string `json:"setting" doc:"--keep-days or --keep-runs of a server, keep.days or keep.runs of a policy"`
	Job     string `json:"job,omitempty" doc:"Whose policy sets it"`
	// Keep is the limit, and KeepNow the one that is in force until then: days or runs; 0 is no limit.
	Keep    float64 `json:"keep"`
	KeepNow float64 `json:"keep_now"`
	// Runs is how many of the Of ended runs it would have deleted when a server saw it first.
	Runs      int64     `json:"runs"`
	Of        int64     `json:"of"`
	SeenAt    time.Time `json:"seen_at"`
	InSeconds int64     `json:"in_seconds" doc:"After so much time in which a server runs it applies"`
	AppliesAt time.Time `json:"applies_at" doc:"When it applies if a server runs until then"`
}
