package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// fleet is many agents and readers of what their jobs print.
type fleet struct {
	host      string
	ctx       context.Context
	all       sync.WaitGroup
	begun     atomic.Int64
	refused   atomic.Int64 // appends that the server put off
	appends   atomic.Int64
	beats     atomic.Int64
	measuring atomic.Bool
	late      ages

	mu     sync.Mutex
	failed error
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

func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() == nil && f.failed == nil {
		f.failed = err
	}
}

func (f *fleet) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// wait waits until something holds, or an agent has failed.
func (f *fleet) wait(ok func() bool) error {
	for late := time.Now().Add(2 * time.Minute); !ok(); {
		if time.Now().After(late) {
			return fmt.Errorf("only %d agents have begun: %w", f.begun.Load(), errNoFigure)
		}
		if err := f.pause(50 * time.Millisecond); err != nil {
			return err
		}
	}
	return f.failure()
}

// pause waits; its error is what went wrong with an agent or a reader.
func (f *fleet) pause(d time.Duration) error {
	select {
	case <-time.After(d):
	case <-f.ctx.Done():
		return f.ctx.Err()
	}
	return f.failure()
}
