package due

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// appendingAgents append a line each appendEvery.
	appendingAgents = 32
	appendEvery     = 100 * time.Millisecond
)

// appends are agents that append what their jobs print.
type appends struct {
	ended chan struct{}
	all   sync.WaitGroup

	mu     sync.Mutex
	took   []wait
	failed error
}

// wait is how long one append took.
type wait struct {
	begun time.Time
	took  time.Duration
}

// startAppends starts the runs of the agents, and their work.
func startAppends(address string) (*appends, error) {
	a := &appends{ended: make(chan struct{})}
	for n := range appendingAgents {
		one := &appender{id: fleet.RunID(time.Now(), n)}
		var err error
		if one.wire, err = fleet.Dial(address); err == nil {
			err = one.append(fleet.Beginning(one.id, n, time.Now(), time.Minute))
		}
		if err != nil {
			_, _ = a.stop(time.Time{}) // it is given up
			return nil, err
		}
		a.all.Go(func() { a.work(one) })
	}
	return a, nil
}

// stop ends the work, and returns how many ms each append took that began at a time or later.
func (a *appends) stop(from time.Time) (ms []float64, err error) {
	close(a.ended)
	a.all.Wait()
	for _, w := range a.took {
		if !w.begun.Before(from) {
			ms = append(ms, float64(w.took.Microseconds())/1e3)
		}
	}
	if len(ms) == 0 {
		return nil, errors.Join(a.failed, fmt.Errorf("no append: %w", host.ErrNoFigure))
	}
	return ms, a.failed
}

func (a *appends) work(one *appender) {
	defer one.wire.Close()
	tick := time.NewTicker(appendEvery)
	defer tick.Stop()
	for {
		select {
		case <-a.ended:
			return
		case <-tick.C:
		}
		begun := time.Now()
		record := journal.OutputRecord(begun, journal.Output{Stream: job.Stdout, Data: []byte("a line of what the job prints\n")})
		err := one.append(journal.AppendRecord(nil, record))
		a.mu.Lock()
		a.took, a.failed = append(a.took, wait{begun, time.Since(begun)}), errors.Join(a.failed, err)
		a.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// appender is one agent.
type appender struct {
	id     string
	wire   *fleet.Wire
	offset int
}

func (a *appender) append(data []byte) error {
	_, err := a.wire.Post(fmt.Sprintf("/api/v1/runs/%s/attempts/1/journal?offset=%d", a.id, a.offset), "application/octet-stream", data)
	a.offset += len(data)
	return err
}
