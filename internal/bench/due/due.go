// Package due measures what a server does when many schedules and many expectations are due at once.
package due

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/bench/fill"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/internal/store"
)

const (
	// many is how many schedules and expectations there are.
	many = 10_000
	// ahead is from when the database is prepared until everything is due: a server must have started.
	ahead = 5 * time.Second
	// most is when a measurement is given up.
	most = 2 * time.Minute
	// idleFor is how long a server is watched that has nothing to do.
	idleFor = 10 * time.Second
	// looks is between two looks whether all is done.
	looks = 20 * time.Millisecond
)

// Figure is one that was measured. A Yardstick of 0 is none, as a Target, which is the most that it may be.
type Figure struct {
	What, Unit                  string
	Yardstick, Measured, Target float64
}

// Measure measures schedules and expectations, each on a database of its own.
func Measure(h *host.Host, on host.Database) ([]Figure, error) {
	figures, err := schedules(h, on)
	if err != nil {
		return nil, err
	}
	if on, err = on.Other("expected"); err != nil {
		return nil, err
	}
	more, err := expectations(h, on)
	return append(figures, more...), err
}

// schedules measures how long it takes until schedules that are due at once have started their jobs, and what appends of
// running jobs take meanwhile.
func schedules(h *host.Host, on host.Database) ([]Figure, error) {
	if err := fill.Schedules(h.Ctx, on.Options(), many); err != nil {
		return nil, err
	}
	at, s, err := allDue(h, on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	appending, err := startAppends(s.Address)
	if err != nil {
		return nil, err
	}
	took, err := until(h, on, at, `SELECT 'some' FROM (SELECT 1 FROM schedules WHERE due_at <= %d LIMIT 1) AS one`)
	waits, aerr := appending.stop(at)
	if err := errors.Join(err, aerr); err != nil {
		return nil, err
	}
	slices.Sort(waits)
	return []Figure{
		{What: fmt.Sprintf("%d schedules are due at once, %s: all have started their jobs after", many, on.Name), Unit: "s", Measured: took.Seconds(), Target: 5},
		{What: fmt.Sprintf("… the longest of %d appends meanwhile", len(waits)), Unit: "ms", Measured: waits[len(waits)-1], Target: 100},
		{What: "… p99", Unit: "ms", Measured: waits[len(waits)*99/100]},
	}, nil
}

// expectations measures what expectations cost while none is due, and how long it takes until all are decided that are due
// at once.
func expectations(h *host.Host, on host.Database) ([]Figure, error) {
	without, err := idle(h, on)
	if err != nil {
		return nil, err
	}
	if err := fill.Expectations(h.Ctx, on.Options(), many); err != nil {
		return nil, err
	}
	with, err := idle(h, on)
	if err != nil {
		return nil, err
	}
	at, s, err := allDue(h, on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	took, err := until(h, on, at, `SELECT 'some' FROM (SELECT 1 FROM job_due WHERE check_at <= %d LIMIT 1) AS one`)
	if err != nil {
		return nil, err
	}
	return []Figure{
		{What: fmt.Sprintf("%d expectations of which none is due, %s: CPU of the server each second, against none", many, on.Name), Unit: "ms", Yardstick: without, Measured: with},
		{What: "… all are due at once: decided after", Unit: "s", Measured: took.Seconds()},
	}, nil
}

// idle returns how many ms of CPU a server uses each second that has nothing to do.
func idle(h *host.Host, on host.Database) (float64, error) {
	s, err := h.Stint(on)
	if err != nil {
		return 0, err
	}
	err = s.WaitIdle(30 * time.Second)
	before, berr := s.CPU()
	<-time.After(idleFor)
	after, aerr := s.CPU()
	return 1e3 * (after - before) / idleFor.Seconds(), errors.Join(err, berr, aerr, s.Stop())
}

// allDue makes everything due at a time, and starts a server.
func allDue(h *host.Host, on host.Database) (at time.Time, s *host.Service, err error) {
	at = time.Now().Add(ahead).Truncate(time.Second)
	if err := fill.AllDueAt(h.Ctx, on.Options(), at); err != nil {
		return at, nil, err
	}
	s, err = h.Stint(on)
	return at, s, err
}

// until returns how long after a time, which is part of the query, a query has no row.
func until(h *host.Host, on host.Database, at time.Time, query string) (took time.Duration, err error) {
	o := on.Options()
	o.Beside = true
	db, err := store.Open(h.Ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	<-time.After(time.Until(at))
	for {
		left, err := db.ReadTexts(h.Ctx, fmt.Sprintf(query, at.UnixMicro()))
		took := time.Since(at)
		switch {
		case err != nil:
			return 0, err
		case len(left) == 0:
			return took, nil
		case took > most:
			return 0, fmt.Errorf("not all is done %s after it was due: %w", most, host.ErrNoFigure)
		}
		<-time.After(looks)
	}
}
