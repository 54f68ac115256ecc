// Package stall judges whether a job makes progress, as a pure function of observations and their times.
package stall

import "time"

// What is too little to be progress: a process that only waits still wakes now and then, for the timers of its runtime.
const (
	// quietCores is the share of one core, over the time since the last progress, that is
	// noise. It is measured over all that time, so that a job that gets little CPU on a busy host is not called stalled.
	quietCores = 0.01
	// quietCPU is noise however short that time was, because CPU time may be counted in ticks of 10 ms.
	quietCPU = 15 * time.Millisecond
	// quietMoved is how many bytes read and written through any descriptor are noise.
	quietMoved = 64 << 10
)

// The interval of checks: so many within the limit, within these bounds.
const (
	checks      = 10
	minInterval = 50 * time.Millisecond
	maxInterval = 10 * time.Second
)

// WatchdogStopped is the reason for stopping a job that sent WATCHDOG=1 and did not send it again in time.
const WatchdogStopped = "it stopped sending WATCHDOG=1"

// Observation is what one check finds. All counters only grow.
type Observation struct {
	Output    int64 // differs from the last check's when something was printed
	Statuses  int64 // that the job has reported
	Watchdogs int64 // WATCHDOG=1 messages
	// Extended is the time until which the job asked not to be stopped.
	Extended time.Time

	// Work of the whole tree. Unknown is true where it cannot be measured: it then counts as
	// progress.
	Unknown      bool
	CPUSeconds   float64
	StorageBytes int64 // read from and written to disks
	MovedBytes   int64 // read and written through descriptors: files, pipes, sockets
}

// Watch follows one step of an attempt.
type Watch struct {
	limit        time.Duration
	at           time.Time // of the last check
	last         Observation
	alive        time.Time // the last progress
	cpu          float64   // CPUSeconds then
	lastWatchdog time.Time // the last WATCHDOG=1; zero when this step sent none
}

// New begins to watch at a time; progress before it does not count.
func New(limit time.Duration, now time.Time, seen Observation) *Watch {
	return &Watch{limit: limit, at: now, last: seen, alive: now, cpu: seen.CPUSeconds}
}

// Verdict is the result of a check.
type Verdict struct {
	Stalled bool
	Why     string        // a reason besides no output, no CPU and no IO; may be empty
	Next    time.Duration // until the next check, when not stalled
}

// Check judges an observation. If it is late, because the agent or the whole host was suspended, the limits are extended by the
// delay.
func (w *Watch) Check(now time.Time, seen Observation) Verdict {
	if late := now.Sub(w.at) - 2*w.interval(); late > 0 {
		w.alive = w.alive.Add(late)
		if !w.lastWatchdog.IsZero() {
			w.lastWatchdog = w.lastWatchdog.Add(late)
		}
	}
	if w.progress(now, seen) {
		w.alive, w.cpu = now, seen.CPUSeconds
	}
	if seen.Watchdogs != w.last.Watchdogs {
		w.lastWatchdog = now
	}
	w.at, w.last = now, seen
	deadline, why := w.alive.Add(w.limit), ""
	if at := w.lastWatchdog.Add(w.limit); !w.lastWatchdog.IsZero() && at.Before(deadline) {
		deadline, why = at, WatchdogStopped
	}
	if seen.Extended.After(deadline) {
		deadline = seen.Extended
	}
	if !now.Before(deadline) {
		return Verdict{Stalled: true, Why: why}
	}
	return Verdict{Next: max(min(w.interval(), deadline.Sub(now)), time.Millisecond)}
}

// First returns the time until the first check.
func (w *Watch) First() time.Duration { return min(w.interval(), w.limit) }

// progress reports whether there was any since the last check.
func (w *Watch) progress(now time.Time, seen Observation) bool {
	if seen.Output != w.last.Output || seen.Statuses != w.last.Statuses || seen.Watchdogs != w.last.Watchdogs {
		return true
	}
	if seen.Unknown || w.last.Unknown {
		return true
	}
	cpu := seen.CPUSeconds - w.cpu
	return cpu > max(quietCores*now.Sub(w.alive).Seconds(), quietCPU.Seconds()) ||
		seen.StorageBytes > w.last.StorageBytes || seen.MovedBytes-w.last.MovedBytes > quietMoved
}

func (w *Watch) interval() time.Duration {
	return min(max(w.limit/checks, minInterval), maxInterval)
}
