package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"stint.dev/stint/internal/bench/fill"
	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/job"
)

const (
	// queueWorkers simulated workers have queueSlots slots each.
	queueWorkers = 16
	queueSlots   = 8
	// loopConnections take rows of PostgreSQL at once for the yardstick; SQLite has one writer.
	loopConnections = 16
)

// queue is how fast queued runs start, from a full queue, and how soon from an empty one, compared with a loop that takes
// one row after the other from a table of the same database.
func (b *bench) queue() ([]row, error) { return b.onEach("queue", b.queueOn) }

func (b *bench) queueOn(on host.Database) ([]row, error) {
	blocked, err := on.Other("blocked")
	if err != nil {
		return nil, err
	}
	begun := time.Now()
	err = errors.Join(fill.Queue(b.Ctx, on.Options(), b.queued, false), fill.Queue(b.Ctx, blocked.Options(), b.queued, true))
	if err != nil {
		return nil, err
	}
	fmt.Printf("<!-- %s: 2 × %d runs queued in %s -->\n", on.Name, b.queued, time.Since(begun).Round(time.Second))
	many, commit, err := b.loops(on)
	if err != nil {
		return nil, err
	}
	rows, err := b.fullQueue(on, blocked, many)
	if err != nil {
		return nil, err
	}
	for _, part := range []func(host.Database) ([]row, error){
		b.restarted,
		func(on host.Database) ([]row, error) { return b.idleQueue(on, commit) },
	} {
		more, err := part(on)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// loops measures the yardstick on the first core: how many rows all connections take a second, and how many
// ms one takes with a connection alone.
func (b *bench) loops(on host.Database) (many, one float64, err error) {
	run := func(connections int) (perSecond, ms float64, err error) {
		args := []string{b.Program("loop"), "sqlite", filepath.Join(b.Dir, "loop.db")}
		if on.URL != "" {
			args = []string{b.Program("loop"), "pgx", on.URL}
		}
		out, err := b.Command(host.Pinned("0", append(args, strconv.Itoa(b.queued), strconv.Itoa(connections), fmt.Sprint(b.span.Seconds()/3))...)).Output()
		if err == nil {
			_, err = fmt.Sscan(string(out), &perSecond, &ms)
		}
		if err != nil {
			return 0, 0, fmt.Errorf("the yardstick: %w", err)
		}
		return perSecond, ms, nil
	}
	if many, one, err = run(1); err == nil && on.URL != "" {
		many, _, err = run(loopConnections)
	}
	return many, one, err
}

// full is a server with a full queue, and the workers that take from it.
type full struct {
	*host.Service
	workers []*fleet.Worker
	rates   []float64
	cpu     []float64 // ms of each start
}

func (b *bench) full(on host.Database) (*full, error) {
	s, err := b.Serve(nil, host.Pinned("0", b.StintArgs(on)...)...)
	if err != nil {
		return nil, err
	}
	workers, err := newWorkers(s)
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return &full{Service: s, workers: workers}, nil
}

func newWorkers(s *host.Service) (workers []*fleet.Worker, err error) {
	for i := range queueWorkers {
		w, err := fleet.NewWorker(s.Address, "w"+strconv.Itoa(i), queueSlots)
		if err != nil {
			return nil, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// fullQueue measures starts from a queue that is full, in turns with one in which all but a hundredth of the runs are blocked.
// Each round starts a hundredth, which was submitted before it.
func (b *bench) fullQueue(on, blocked host.Database, yardstick float64) ([]row, error) {
	var both [2]*full
	for i, each := range []host.Database{on, blocked} {
		f, err := b.full(each)
		if err != nil {
			return nil, err
		}
		defer func() { _ = f.Stop() }() // the figures are what counts
		if err := f.WaitIdle(30 * time.Second); err != nil {
			return nil, err
		}
		both[i] = f
	}
	release, err := b.PinSelf("1")
	if err != nil {
		return nil, err
	}
	defer release()
	n := b.queued / 100
	for round := range max(3, b.rounds) {
		for _, f := range both {
			if err := f.round(n, round > 0); err != nil {
				return nil, err
			}
		}
	}
	least := map[string]float64{"SQLite": 800, "PostgreSQL": 600}[on.Name]
	return []row{
		{what: fmt.Sprintf("starts from a queue of %d, %s, server on one core", b.queued, on.Name), unit: "/s", yardstick: yardstick, measured: median(both[0].rates), leastRatio: 0.25, least: least},
		{what: fmt.Sprintf("… %d of them blocked, against none", b.queued-n), unit: "/s", yardstick: median(both[0].rates), measured: median(both[1].rates), leastRatio: 0.95},
		{what: "… CPU of the server for each, with and without blocked ones", unit: "ms", yardstick: median(both[0].cpu), measured: median(both[1].cpu)},
	}, nil
}

// round submits n runs that are not blocked, if the queue needs them, and has n start and end.
func (f *full) round(n int, submit bool) error {
	if submit {
		if err := submitRuns(f.Service, n); err != nil {
			return err
		}
	}
	before, err := f.CPU()
	if err != nil {
		return err
	}
	took, err := fleet.Start(f.workers, n, 0)
	if err != nil {
		return err
	}
	after, err := f.CPU()
	f.rates = append(f.rates, float64(n)/took.Seconds())
	f.cpu = append(f.cpu, 1e3*(after-before)/float64(n))
	return err
}

// submitRuns submits n runs of the job that is never blocked.
func submitRuns(s *host.Service, n int) error {
	begun := time.Now()
	return each(8, func(_, i int) (bool, error) {
		if i >= n {
			return false, nil
		}
		w, err := fleet.Dial(s.Address)
		if err != nil {
			return false, err
		}
		defer w.Close()
		return true, w.Submit(fleet.RunID(begun, i), job.SubmitRequest{Job: fill.QueueJob(0)})
	})
}
