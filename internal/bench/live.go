package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/bench/due"
	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
)

// How much there is to see of the live agents, and how long they are left alone before.
const (
	liveReaders = 50
	liveWarmUp  = 20 * time.Second
	// liveFiles is how many open files this process and the server need beside the agents'
	// connections, of which the server lets there be four fifths of the files.
	liveFiles = 300
)

// live is what a server needs for many agents at once, and how soon a reader sees what a job
// prints. The agents live in this process and speak the real wire.
func (b *bench) live() ([]row, error) {
	if err := openFiles(uint64((b.agents + liveReaders + liveFiles) * 5 / 4)); err != nil {
		return nil, fmt.Errorf("%d agents: %w; ask for fewer with -agents", b.agents, err)
	}
	return b.onEach("live", b.liveOn)
}

// due is what a server does when many schedules and expectations are due at once.
func (b *bench) due() ([]row, error) {
	return b.onEach("due", func(on host.Database) (rows []row, err error) {
		figures, err := due.Measure(b.Host, on)
		for _, f := range figures {
			rows = append(rows, row{what: f.What, unit: f.Unit, yardstick: f.Yardstick, measured: f.Measured, most: f.Target})
		}
		return rows, err
	})
}

// onEach measures on each database, or on the one that -on names.
func (b *bench) onEach(what string, measure func(host.Database) ([]row, error)) ([]row, error) {
	all, err := b.Databases(what)
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, on := range all {
		var more []row
		if b.on == "" || strings.EqualFold(b.on, on.Name) {
			more, err = measure(on)
		}
		if err := errors.Join(err, on.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", on.Name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// openFiles sees to it that this process may have so many files open.
func openFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= n {
		return err
	}
	want := syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("%d open files, where %d are allowed: %w", n, limit.Max, err)
	}
	return nil
}

func (b *bench) liveOn(on host.Database) ([]row, error) {
	s, err := b.Stint(on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	ctx, cancel := context.WithCancel(b.Ctx)
	f := fleet.New(ctx, s.Address)
	defer func() { cancel(); f.Wait() }()
	begun := time.Now()
	for i := range b.agents {
		f.Start(fleet.Agent{ID: fleet.RunID(begun, i), Number: i, Delay: b.spread * time.Duration(i) / time.Duration(b.agents)})
	}
	if err := f.WaitBegun(b.agents); err != nil {
		return nil, err
	}
	allBegun := time.Since(begun)
	for i := range min(liveReaders, b.agents) {
		f.Follow(fleet.RunID(begun, i*b.agents/liveReaders))
	}
	m, err := measureFleet(f, s, liveWarmUp, 3*b.span)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("%d live agents, %s: ", b.agents, on.Name)
	return []row{
		{what: fmt.Sprintf("%sall that begin within %s are in", what, b.spread), unit: "s", measured: allBegun.Seconds()},
		{what: "… refused for a while", unit: "appends", measured: float64(f.Counts().Refused)},
		{what: "… memory of the server", unit: "MB", measured: m.peak, most: 400},
		{what: fmt.Sprintf("… its CPU (%.0f appends and %.0f heartbeats a second)", m.appends, m.beats), unit: "cores", measured: m.cores, most: 1},
		{what: fmt.Sprintf("… from a job's write to a reader, p99 (%d lines)", len(m.late)), unit: "s", measured: m.late[len(m.late)*99/100], most: 1},
		{what: "… median", unit: "s", measured: m.late[len(m.late)/2]},
	}, nil
}

// measured is what a span of time showed.
type measured struct {
	peak           float64 // MB of the server
	cores          float64 // of the server
	appends, beats float64 // per second
	late           []float64
}

// measureFleet leaves the fleet alone for a while and then counts over a span.
func measureFleet(f *fleet.Fleet, s *host.Service, rest, span time.Duration) (m measured, err error) {
	if err := f.Pause(rest); err != nil {
		return m, err
	}
	f.MeasureAges(true)
	counted := f.Counts()
	before, err := s.CPU()
	begun := time.Now()
	if err := errors.Join(err, f.Pause(span)); err != nil {
		return m, err
	}
	took := time.Since(begun).Seconds()
	ages := f.MeasureAges(false)
	after, err := s.CPU()
	m.cores = (after - before) / took
	now := f.Counts()
	m.appends, m.beats = float64(now.Appends-counted.Appends)/took, float64(now.Beats-counted.Beats)/took
	var perr error
	m.peak, perr = s.PeakMB()
	m.late = slices.Sorted(slices.Values(ages))
	if err := errors.Join(err, perr, f.Err()); err != nil {
		return m, err
	}
	if len(m.late) == 0 {
		return m, fmt.Errorf("no reader saw a line: %w", host.ErrNoFigure)
	}
	return m, nil
}
