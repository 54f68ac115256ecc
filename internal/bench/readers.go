package main

import (
	"context"
	"fmt"
	"time"

	"stint.dev/stint/internal/bench/fleet"
)

const (
	readersMany = 500
	readersRest = 6 * time.Second // until the agent has been notified of a reader
	// readersTick and readersLines make 1,000 lines a second.
	readersTick  = 10 * time.Millisecond
	readersLines = 10
)

// readers is what many who follow one run cost the server more than one does.
func (b *bench) readers() ([]row, error) {
	s, err := b.Stint(b.Embedded("readers"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	ctx, cancel := context.WithCancel(b.Ctx)
	f := fleet.New(ctx, s.Address)
	defer func() { cancel(); f.Wait() }()
	id := fleet.RunID(time.Now(), 0)
	f.Start(fleet.Agent{ID: id, Every: readersTick, Lines: readersLines})
	if err := f.WaitBegun(1); err != nil {
		return nil, err
	}
	f.Follow(id)
	one, err := measureFleet(f, s, readersRest, b.span)
	if err != nil {
		return nil, err
	}
	for range readersMany - 1 {
		f.Follow(id)
	}
	many, err := measureFleet(f, s, readersRest, b.span)
	if err != nil {
		return nil, err
	}
	return []row{
		{what: fmt.Sprintf("one run that prints 1,000 lines a second: CPU of the server for one reader and for %d", readersMany), unit: "cores", yardstick: one.cores, measured: many.cores},
		{what: "… of that for each further reader, beside the agent and the first one", unit: "‰ of a core", measured: 1e3 * (many.cores - one.cores) / (readersMany - 1)},
		{what: fmt.Sprintf("… from the job's write to a reader, p99 (%d events)", len(many.late)), unit: "s", yardstick: one.late[len(one.late)*99/100], measured: many.late[len(many.late)*99/100], most: 1},
		{what: "… memory of the server", unit: "MB", yardstick: one.peak, measured: many.peak},
	}, nil
}
