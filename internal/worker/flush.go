package worker

import (
	"context"
	"time"
)

// The pauses between two deliveries of the journals that wait on the host: after one that met an
// outage, from the first to the longest, and after one that did not.
const (
	outagePause     = 2 * time.Second
	longOutagePause = time.Minute
	quietPause      = 10 * time.Minute
	// leftPause is how long an agent that died may leave its journal to its own watcher.
	leftPause = 2 * time.Second
)

// flush begins to deliver the journals that wait on the host when it is time for it.
func (w *Worker) flush(ctx context.Context, now time.Time) {
	if w.flushing || now.Before(w.nextFlush) {
		return
	}
	w.flushing = true
	go func() {
		if w.cfg.Flush == nil {
			w.flushed <- nil
			return
		}
		w.flushed <- w.cfg.Flush(ctx)
	}()
}

// flushEnded acts on the end of a delivery. The first runs are taken when one has met no outage,
// or when the server answers all the same: then journals wait that it does not take now.
func (w *Worker) flushEnded(err error, now time.Time) {
	w.flushing = false
	w.flushes++
	pause := quietPause
	if err != nil {
		pause = min(outagePause<<min(w.flushes-1, 5), longOutagePause)
	}
	w.nextFlush = now.Add(pause)
	if w.ready || err != nil && (!w.answers || w.flushes < 2) {
		return
	}
	w.ready = true
	if w.asking != nil {
		w.asking.cancel() // it asks for nothing
	}
}
