// Package fleet is simulated agents that speak the real wire to a server, and readers of what
// their jobs print, at the least cost to the machine that measures.
package fleet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// errIncomplete is the error of a reply, or of a measurement, that lacks what was expected.
var errIncomplete = errors.New("it is not complete")

// Fleet is many agents and readers. They end with the context of the fleet.
type Fleet struct {
	host      string
	ctx       context.Context
	all       sync.WaitGroup
	begun     atomic.Int64
	refused   atomic.Int64
	appends   atomic.Int64
	beats     atomic.Int64
	measuring atomic.Bool
	late      ages

	mu     sync.Mutex
	failed error
}

// New makes a fleet without agents and readers, of a server at a host and port.
func New(ctx context.Context, host string) *Fleet { return &Fleet{host: host, ctx: ctx} }

// Start starts an agent.
func (f *Fleet) Start(a Agent) { f.all.Go((&liveAgent{Fleet: f, Agent: a}).live) }

// Follow starts a reader of a run's live stream.
func (f *Fleet) Follow(run string) { f.all.Go(func() { f.read(run) }) }

// Wait waits until all agents and readers have ended.
func (f *Fleet) Wait() { f.all.Wait() }

// Counts are how many requests the agents have made.
type Counts struct {
	Appends, Beats int64
	Refused        int64 // appends that the server put off
}

// Counts returns how many requests the agents have made.
func (f *Fleet) Counts() Counts { return Counts{f.appends.Load(), f.beats.Load(), f.refused.Load()} }

// MeasureAges begins or ends to measure how old lines are when readers get them. It returns what
// was measured before, in seconds.
func (f *Fleet) MeasureAges(on bool) []float64 {
	f.measuring.Store(on)
	return f.late.take()
}

// ages collects how old lines are, in seconds.
type ages struct {
	mu  sync.Mutex
	all []float64
}

func (a *ages) add(seconds float64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.all = append(a.all, seconds)
}

func (a *ages) take() []float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := a.all
	a.all = nil
	return all
}

func (f *Fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() == nil && f.failed == nil {
		f.failed = err
	}
}

// Err returns what went wrong first with an agent or a reader.
func (f *Fleet) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// WaitBegun waits until so many agents have begun, or one has failed.
func (f *Fleet) WaitBegun(n int) error {
	for late := time.Now().Add(2 * time.Minute); f.begun.Load() != int64(n); {
		if time.Now().After(late) {
			return fmt.Errorf("only %d agents have begun: %w", f.begun.Load(), errIncomplete)
		}
		if err := f.Pause(50 * time.Millisecond); err != nil {
			return err
		}
	}
	return f.Err()
}

// Pause waits; its error is what went wrong with an agent or a reader.
func (f *Fleet) Pause(d time.Duration) error {
	select {
	case <-time.After(d):
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
	return f.Err()
}
