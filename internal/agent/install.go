package agent

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/agent/cache"
	"stint.dev/stint/internal/agent/install"
	"stint.dev/stint/internal/agent/record"
	"stint.dev/stint/job"
)

// reuseInstall restores from the cache what the install steps would make, if an earlier run has
// made the same, and reports whether it did. A failure becomes a note, and the steps run as they
// would without a cache.
func (a *attempt) reuseInstall(ctx context.Context) (*install.Candidate, bool) {
	c := a.cfg
	if len(c.InstallCache) == 0 || len(c.Install) == 0 {
		return nil, false
	}
	a.background.start(ctx) // a large copy must not look like a dead agent
	found, err := runInterruptibly(ctx, a, func(ctx context.Context) (install.CacheResult, error) {
		if err := a.checkCache(); err != nil {
			return install.CacheResult{}, err
		}
		return install.Restore(ctx, install.Config{
			StateDir: c.StateDir, Dir: c.Dir, DirPath: c.DirPath, Steps: c.Install, LockFiles: c.InstallCache, CacheDirs: c.CacheDirs,
			Env: a.env, Start: a.group.Start, Ended: a.meter.StepEnded,
		})
	})
	var damaged *cache.DamagedError
	switch {
	case errors.As(err, &damaged):
		a.rec.Note(-1, err.Error()+"; the install steps run")
		return found.Candidate, false
	case err != nil:
		if !a.stop.Begun() {
			a.rec.Note(-1, "the install cache is not used: "+err.Error())
		}
		return nil, false
	case found.Used == nil:
		a.rec.Note(-1, "the install cache has no entry for key "+found.Candidate.Key())
		return found.Candidate, false
	}
	text := fmt.Sprintf("install steps skipped: cache hit %s from %s (%d files, %s)",
		cache.Short(found.Used.Key), found.Used.CreatedAt.Local().Format("2006-01-02 15:04:05 -0700"), found.Used.Files, job.Bytes(found.Used.Bytes))
	a.rec.Note(-1, text)
	c.Print(text)
	return nil, true
}

// checkCache returns why the state directory cannot hold a cache; nil if it can.
func (a *attempt) checkCache() error {
	switch {
	case a.cfg.StateDir == "":
		return record.ErrNoStateDir
	case a.spool == nil:
		return fmt.Errorf("the state directory %s cannot be used", a.cfg.StateDir)
	}
	return nil
}

// keepInstall copies what the install steps made into the cache. It is called before the command
// starts, which may change it.
func (a *attempt) keepInstall(ctx context.Context, made *install.Candidate) {
	if made == nil || a.stop.Begun() {
		return
	}
	begun := time.Now()
	done, err := runInterruptibly(ctx, a, func(ctx context.Context) (cache.PublishResult, error) {
		return made.Keep(ctx, a.rec.Secrets().Strings(a.cfg.Install))
	})
	switch {
	case err != nil && !a.stop.Begun():
		a.rec.Note(-1, "the result of the install steps was not stored: "+err.Error())
	case err == nil && done.Lost:
		a.rec.Note(-1, "another run has stored the same install under key "+cache.Short(done.Key))
	case err == nil:
		a.rec.Note(-1, fmt.Sprintf("stored for other runs under key %s: %d files, %s, in %s",
			cache.Short(done.Key), done.Files, job.Bytes(done.Bytes), time.Since(begun).Round(time.Millisecond)))
	}
}

// workLimit bounds the wait for work that was canceled: a file system may not answer.
const workLimit = 2 * time.Second

var errNoAnswer = errors.New("the file system does not answer")

// runInterruptibly runs work of the agent between steps, and acts on requests to stop meanwhile.
// A stop and the time limit of the install cancel the work. It returns when the work ends, or
// workLimit after that; then the result of the work is not used.
func runInterruptibly[T any](ctx context.Context, a *attempt, work func(context.Context) (T, error)) (done T, err error) {
	left := orNever(a.cfg.InstallTimeout) - time.Since(a.begun)
	workCtx, cancel := context.WithTimeoutCause(ctx, left, errors.New("the install timeout has expired"))
	defer cancel()
	type result struct {
		done T
		err  error
	}
	ended := make(chan result, 1)
	go func() {
		done, err := work(workCtx)
		ended <- result{done, err}
	}()
	var late <-chan time.Time
	over, canceled := workCtx.Done(), ctx.Done()
	for {
		select {
		case r := <-ended:
			if errors.Is(r.err, context.DeadlineExceeded) {
				r.err = context.Cause(workCtx)
			}
			return r.done, r.err
		case <-over:
			timer := time.NewTimer(workLimit)
			defer timer.Stop()
			over, late = nil, timer.C
		case <-late:
			return done, errNoAnswer
		case e := <-a.cfg.events.Events():
			a.act(e)
		case cause := <-a.stopRequests:
			a.stop.BeginFinal(cause, 0)
		case <-canceled:
			canceled = nil
			a.stop.BeginFinal(job.StopCause{Reason: job.AgentStopped}, 0)
		}
		if a.stop.Begun() {
			cancel()
		}
	}
}
