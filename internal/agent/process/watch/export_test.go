//go:build linux || darwin

package watch

import (
	"os"
	"time"
)

// Script is what the watcher runs.
var Script = watcherScript

// NewByHand makes a guard whose watcher is a pipe, and which is updated by Update alone.
func NewByHand(g Group, pipe *os.File) *Guard {
	return &Guard{group: g, watcher: &watcher{pipe: pipe}, delay: time.Hour}
}

// Update sends the sessions of new processes to the watcher.
func (g *Guard) Update() { g.update() }

// StopTimer ends what Add began.
func (g *Guard) StopTimer() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer.Stop()
}
