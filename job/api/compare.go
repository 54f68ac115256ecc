package api

import "time"

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

// Change is one thing that differs between two runs of a job.
type Change struct {
	What   string `json:"what"` // command, install, lock_file, agent_version, host, labels, environment, limits, profile
	Before string `json:"before"`
	After  string `json:"after"`
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
