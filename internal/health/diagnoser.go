package health

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/job"
)

// DiagnosisStore is what the diagnoser needs of the database and of what lies behind it.
type DiagnosisStore interface {
	// Undiagnosed returns runs that wait for a diagnosis and did not fail to get one just
	// now; StoreDiagnosis stores one if the run has not changed since.
	Undiagnosed(ctx context.Context, limit int) ([]job.Run, error)
	StoreDiagnosis(ctx context.Context, of job.Run, d *job.Diagnosis) (bool, error)
	// DiagnosisFailed records that a run could not be diagnosed. It goes on waiting, and is
	// returned again after a pause.
	DiagnosisFailed(ctx context.Context, run string, cause error)
	Archive
}

const (
	// diagnosesAtOnce bounds the runs that are diagnosed at the same time. The queue is in
	// the database: each run that waits is marked there.
	diagnosesAtOnce = 4
	// diagnosisTime bounds one diagnosis, which may have to read from a bucket.
	diagnosisTime = 10 * time.Second
)

// diagnoser says what is to be made of runs that ended badly or stall. It reads logs and
// samples, which may take long, so the monitor's rounds never wait for it.
type diagnoser struct {
	store   DiagnosisStore
	log     *slog.Logger
	changed func(lease.VerdictResult)
	// leads says whether this server judges: then it diagnoses too.
	leads atomic.Bool

	mu       sync.Mutex
	busy     map[string]bool // runs that are being diagnosed
	panicked map[string]bool // runs whose diagnosis panicked once
	free     chan struct{}   // holds one token when a diagnosis has ended
}

func newDiagnoser(store DiagnosisStore, log *slog.Logger, changed func(lease.VerdictResult)) *diagnoser {
	return &diagnoser{store: store, log: log, changed: changed, busy: map[string]bool{}, panicked: map[string]bool{}, free: make(chan struct{}, 1)}
}

// run diagnoses until ctx ends, and returns when the diagnoses under way have ended.
func (d *diagnoser) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	rounds := periodic.Loop{Every: Every, Wake: d.free, Failures: periodic.Failures{Log: d.log, Failing: "runs cannot be diagnosed"}}
	rounds.Run(ctx, func(time.Time) error {
		if !d.leads.Load() {
			return nil
		}
		return d.start(ctx, &all)
	})
}

// start begins diagnoses while fewer than diagnosesAtOnce are under way.
func (d *diagnoser) start(ctx context.Context, all *sync.WaitGroup) error {
	d.mu.Lock()
	under := len(d.busy)
	d.mu.Unlock()
	if under >= diagnosesAtOnce {
		return nil
	}
	runs, err := d.store.Undiagnosed(ctx, 2*diagnosesAtOnce)
	for _, run := range runs {
		d.mu.Lock()
		skip := d.busy[run.ID] || len(d.busy) >= diagnosesAtOnce
		if !skip {
			d.busy[run.ID] = true
		}
		d.mu.Unlock()
		if skip {
			continue
		}
		all.Go(func() {
			d.diagnose(ctx, run)
			d.mu.Lock()
			delete(d.busy, run.ID)
			d.mu.Unlock()
			select {
			case d.free <- struct{}{}:
			default:
			}
		})
	}
	return err
}

// diagnose makes and stores the diagnosis of one run. What cannot be read in time leaves the
// run waiting.
func (d *diagnoser) diagnose(ctx context.Context, run job.Run) {
	limited, cancel := context.WithTimeoutCause(ctx, diagnosisTime, fmt.Errorf("it took longer than %s", diagnosisTime))
	defer cancel()
	diagnosis, err := d.investigate(limited, run)
	if err != nil && limited.Err() != nil && ctx.Err() == nil {
		err = errors.Join(context.Cause(limited), err)
	}
	stored := false
	if err == nil {
		stored, err = d.store.StoreDiagnosis(ctx, run, diagnosis)
	}
	switch {
	case ctx.Err() != nil: // this server is ending; the run waits for the next one
	case err != nil:
		d.store.DiagnosisFailed(ctx, run.ID, fmt.Errorf("diagnose run %s: %w", run.ID, err))
	case stored && d.changed != nil:
		run.Diagnosis = diagnosis
		d.changed(lease.VerdictResult{Run: run})
	}
}

// investigate is Investigate that survives a panic: what jobs print is anything, and must not end the
// server. A panic is logged and is an error; as it is likely to come again, a second one leaves the run
// with the diagnosis that it had when it was lost, or without one.
func (d *diagnoser) investigate(ctx context.Context, run job.Run) (diagnosis *job.Diagnosis, err error) {
	defer func() {
		p := recover()
		d.mu.Lock()
		again := d.panicked[run.ID]
		if p != nil && !again {
			d.panicked[run.ID] = true
		} else if p != nil || err == nil {
			delete(d.panicked, run.ID)
		}
		d.mu.Unlock()
		switch {
		case p == nil:
		case !again:
			d.log.Error("the diagnosis of a run panicked", "run", run.ID, "attempt", run.Attempt, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		case run.State == job.Lost:
			diagnosis, err = run.Diagnosis, nil
		default:
			diagnosis, err = nil, nil
		}
	}()
	return Investigate(ctx, d.store, run)
}
