package queue

import (
	"time"

	"stint.dev/stint/job"
)

// WorkerGrace is how long the absence of workers says nothing: as long as the longest lease of a worker, so that one
// that is started again, or that looks for the server after that was away, has asked.
const WorkerGrace = maxWait + workerGrace

// WaitingRun is a run in the queue, with what the health rule of that name judges it by.
type WaitingRun struct {
	Run, Job string
	// Attempt is the one that the run shows: that before the one that waits; 0 for none.
	Attempt  int
	State    job.State
	Health   job.Health
	Findings []job.Finding
	Gate     Gate // the first closed one, as it is stored; others than those of Closed for none
	// Since is from when the wait counts, without the time in which the submitter or a person wanted it to wait; zero
	// while that is so.
	Since      time.Time
	Occurrence bool       // of a schedule
	StartBy    *time.Time // when it ends if it has not started; nil for never
	Line       Line
	Selector   Selector
	// JobStarted is when the last one of the active runs of its job started; zero for none.
	JobStarted time.Time
	Supply     Supply // of the workers that live and are not drained
	// AbleUntil is the end of the last lease of a worker that could take it, also of a drained one; zero if none is
	// known.
	AbleUntil time.Time
}

// KnownWorker is a worker that is alive or was.
type KnownWorker struct {
	Worker
	LeaseEnd time.Time
	Drained  bool
}

// SetWorkers sets what follows from the workers at a time.
func (w *WaitingRun) SetWorkers(all []KnownWorker, now time.Time) {
	var live []Worker
	w.AbleUntil = time.Time{}
	for _, one := range all {
		if one.LeaseEnd.After(LatestLeaseEnd(now)) {
			continue // of a clock that was ahead
		}
		if one.LeaseEnd.After(now) && !one.Drained {
			live = append(live, one.Worker)
		}
		if one.Takes(w.Selector, w.Job) {
			w.AbleUntil = later(w.AbleUntil, one.LeaseEnd)
		}
	}
	w.Supply = SupplyFor(live, w.Selector, w.Job, "")
}

// Line is what runs have in common that start one after the other: only the first of them is judged by how long it waits.
type Line struct {
	Job, Group string
	Selector   int64 // identifies Selector
}
