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

	"stint.dev/stint/internal/health/diagnose"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/periodic"
	"stint.dev/stint/job"
)

// DiagnosisStore is the part of the database and of the archive that the diagnoser uses.
type DiagnosisStore interface {
	// Undiagnosed returns runs that wait for a diagnosis, without those of which one has just failed.
	Undiagnosed(ctx context.Context, limit int) ([]job.Run, error)
	// StoreDiagnosis stores a diagnosis if the run has not changed since, and reports whether it did.
	StoreDiagnosis(ctx context.Context, of job.Run, d *job.Diagnosis) (bool, error)
	// DiagnosisFailed records that the diagnosis of a run failed, so that it is tried again later.
	DiagnosisFailed(ctx context.Context, run string, cause error)
	diagnose.Store
}

const (
	// maxDiagnoses is how many runs are diagnosed at the same time. The queue is in the database, where
	// each run that waits is marked.
	maxDiagnoses = 4
	// diagnosisTimeout is the limit of one diagnosis, which may have to read from an object store.
	diagnosisTimeout = 10 * time.Second
)

// diagnoser diagnoses failed and stalled runs. It reads logs and samples, which may take long, so the rounds of the
// monitor do not wait for it.
type diagnoser struct {
	store   DiagnosisStore
	log     *slog.Logger
	changed func(lease.VerdictResult)
	// leads reports whether this server judges. Only that server diagnoses.
	leads atomic.Bool

	mu       sync.Mutex
	busy     map[string]bool // runs that are being diagnosed
	panicked map[string]bool // runs whose diagnosis panicked once
	free     chan struct{}   // holds one token when a diagnosis has ended
}

func newDiagnoser(store DiagnosisStore, log *slog.Logger, changed func(lease.VerdictResult)) *diagnoser {
	return &diagnoser{store: store, log: log, changed: changed, busy: map[string]bool{}, panicked: map[string]bool{}, free: make(chan struct{}, 1)}
}

// run diagnoses runs until ctx ends. It returns when the present diagnoses have ended.
func (d *diagnoser) run(ctx context.Context) {
	var all sync.WaitGroup
	defer all.Wait()
	rounds := periodic.Loop{Every: Interval, Wake: d.free, Failures: periodic.Failures{Log: d.log, Failing: "runs cannot be diagnosed"}}
	rounds.Run(ctx, func(time.Time) error {
		if !d.leads.Load() {
			return nil
		}
		return d.start(ctx, &all)
	})
}

// start starts diagnoses in goroutines of all, up to maxDiagnoses at the same time.
func (d *diagnoser) start(ctx context.Context, all *sync.WaitGroup) error {
	d.mu.Lock()
	running := len(d.busy)
	d.mu.Unlock()
	if running >= maxDiagnoses {
		return nil
	}
	runs, err := d.store.Undiagnosed(ctx, 2*maxDiagnoses)
	for _, run := range runs {
		d.mu.Lock()
		skip := d.busy[run.ID] || len(d.busy) >= maxDiagnoses
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

// diagnose makes and stores the diagnosis of a run. After an error the run waits for another try.
func (d *diagnoser) diagnose(ctx context.Context, run job.Run) {
	limited, cancel := context.WithTimeoutCause(ctx, diagnosisTimeout, fmt.Errorf("it took longer than %s", diagnosisTimeout))
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
	case ctx.Err() != nil: // this server shuts down, and another one diagnoses the run
	case err != nil:
		d.store.DiagnosisFailed(ctx, run.ID, fmt.Errorf("diagnose run %s: %w", run.ID, err))
	case stored && d.changed != nil:
		run.Diagnosis = diagnosis
		d.changed(lease.VerdictResult{Run: run})
	}
}

// investigate calls diagnose.Investigate and recovers from a panic, because unexpected output of a job must
// not end the server. A panic is logged and returned as an error. As another try probably panics too, after
// a second panic the run keeps the diagnosis that it had when it was lost, or has none.
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
	return diagnose.Investigate(ctx, d.store, run)
}
