package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/cache"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/statedir"
	"stint.dev/stint/job"
)

const (
	// askLimit bounds the time that an interpreter may take to say its version.
	askLimit = 5 * time.Second
	// mostAnswer bounds what is read of it.
	mostAnswer = 4 << 10
)

// keepable is what the install steps of this attempt may leave in the cache.
type keepable struct {
	store  *cache.Cache
	inputs cache.Inputs
}

// foundInstall is what the cache has for the install steps, and what it may be given.
type foundInstall struct {
	keep *keepable
	used *cache.Info // nil when the cache has nothing
}

// reuseInstall puts in place what the install steps would make, if an earlier run has made
// the same; then it returns true. What goes wrong becomes a note, and the steps run as
// they would without a cache.
func (a *attempt) reuseInstall(ctx context.Context) (*keepable, bool) {
	c := a.cfg
	if len(c.InstallCache) == 0 || len(c.Install) == 0 {
		return nil, false
	}
	a.back.start(ctx) // a large copy must not look like a dead agent
	found, err := meanwhile(ctx, a, func(ctx context.Context) (f foundInstall, err error) {
		if err = a.cacheable(); err != nil {
			return f, err
		}
		f.keep = &keepable{store: cache.Open(c.StateDir)}
		if f.keep.inputs, err = a.inputs(ctx); err != nil {
			return f, err
		}
		f.used, err = f.keep.restore(ctx)
		return f, err
	})
	k, used := found.keep, found.used
	var damaged *cache.DamagedError
	switch {
	case errors.As(err, &damaged):
		a.rec.Note(-1, err.Error()+"; the install steps run")
		return k, false
	case err != nil:
		if a.stop.cause == nil {
			a.rec.Note(-1, "the install cache is not used: "+err.Error())
		}
		return nil, false
	case used == nil:
		a.rec.Note(-1, "nothing in the install cache for key "+cache.Short(k.inputs.Key()))
		return k, false
	}
	text := fmt.Sprintf("install steps skipped: cache hit %s from %s (%d files, %s)",
		cache.Short(used.Key), used.CreatedAt.Local().Format("2006-01-02 15:04:05 -0700"), used.Files, job.Bytes(used.Bytes))
	a.rec.Note(-1, text)
	c.Say(text)
	return nil, true
}

// cacheable says what keeps this attempt from using the cache. An entry belongs to a path,
// so the path of the working directory must lead to it.
func (a *attempt) cacheable() error {
	c := a.cfg
	if c.StateDir == "" {
		return errNoStateDir
	}
	if a.spool == nil {
		return fmt.Errorf("the state directory %s cannot be used", c.StateDir)
	}
	if err := statedir.Check(c.StateDir, "cache"); err != nil {
		return err // what is kept there would be run
	}
	own, err := os.Stat(cmp.Or(c.Dir, "."))
	if err != nil {
		return fmt.Errorf("the working directory: %w", err)
	}
	if c.DirPath == "" {
		return errors.New("the path of the working directory is not known")
	}
	there, err := os.Stat(c.DirPath)
	if err != nil {
		return fmt.Errorf("the path of the working directory: %w", err)
	}
	if !os.SameFile(own, there) {
		return fmt.Errorf("the path of the working directory, %s, leads to another directory now", c.DirPath)
	}
	return nil
}

// restore returns nil when the cache has nothing.
func (k *keepable) restore(ctx context.Context) (*cache.Info, error) {
	entry, err := k.store.Find(ctx, k.inputs.Key())
	if err != nil || entry == nil {
		return nil, err
	}
	defer entry.Close()
	if err := entry.Restore(ctx); err != nil {
		return nil, err
	}
	return &entry.Info, nil
}

// keepInstall gives what the install steps made to the cache. It comes before the command,
// which may write there.
func (a *attempt) keepInstall(ctx context.Context, k *keepable) {
	if k == nil || a.stop.cause != nil {
		return
	}
	begun := time.Now()
	done, err := meanwhile(ctx, a, func(ctx context.Context) (cache.Published, error) {
		if name := k.inputs.Changed(a.cfg.DirPath); name != "" {
			return cache.Published{}, fmt.Errorf("the lock file %s changed during the install", name)
		}
		return k.store.Publish(ctx, k.inputs, a.rec.Secrets().Strings(a.cfg.Install))
	})
	switch {
	case err != nil && a.stop.cause == nil:
		a.rec.Note(-1, "what the install steps made was not kept: "+err.Error())
	case err == nil && done.Lost:
		a.rec.Note(-1, "another run has kept the same install under key "+cache.Short(done.Key))
	case err == nil:
		a.rec.Note(-1, fmt.Sprintf("kept for other runs under key %s: %d files, %s, in %s",
			cache.Short(done.Key), done.Files, job.Bytes(done.Bytes), time.Since(begun).Round(time.Millisecond)))
	}
}

// workLimit bounds the wait for work that was canceled: a file system may not answer.
const workLimit = 2 * time.Second

var errNoAnswer = errors.New("the file system does not answer")

// meanwhile does work of the agent's own between steps, and acts on wishes to stop. It ends
// with the work's end, which a stop and the install's time limit bring about; work that does
// not end then is left alone, and nothing of it is used.
func meanwhile[T any](ctx context.Context, a *attempt, work func(context.Context) (T, error)) (done T, err error) {
	left := orNever(a.cfg.InstallTimeout) - time.Since(a.begun)
	workCtx, cancel := context.WithTimeoutCause(ctx, left, errors.New("the time for installing is over"))
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
		case cause := <-a.asked:
			a.obey(cause)
		case <-canceled:
			canceled = nil
			a.obey(job.StopCause{Reason: job.AgentStopped})
		}
		if a.stop.cause != nil {
			cancel()
		}
	}
}

// inputs gathers what decides the install's result.
func (a *attempt) inputs(ctx context.Context) (cache.Inputs, error) {
	c := a.cfg
	in, err := cache.Gather(cache.Request{
		WorkDir: c.DirPath, LockFiles: c.InstallCache, Dirs: c.CacheDirs, Install: c.Install, Env: a.env,
	})
	if err != nil {
		return in, err
	}
	for _, q := range cache.Questions(c.Install, in.Dirs) {
		i := cache.Interpreter{Name: q.Name}
		path, found := process.LookPath(q.Args[0], c.Dir, a.env)
		if found {
			i.Path = path
			if i.Version, err = a.answerOf(ctx, q.Args); err != nil {
				return in, fmt.Errorf("the version of %s is not known: %w", q.Name, err)
			}
		}
		in.Interpreters = append(in.Interpreters, i)
	}
	return in, nil
}

// answerOf runs an interpreter among the job's processes and returns what it says. One that
// cannot do its work says so in its exit code, which is an answer too.
func (a *attempt) answerOf(ctx context.Context, args []string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	proc, err := a.group.Start(process.Spec{Args: args, Dir: a.cfg.Dir, Env: a.env, Stdout: w, Stderr: w})
	_ = w.Close()
	if err != nil {
		return "cannot be started", nil
	}
	timer := time.NewTimer(askLimit)
	defer timer.Stop()
	answer := make(chan string, 1)
	_ = r.SetReadDeadline(time.Now().Add(askLimit)) // a pipe that cannot have one ends with its writers
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, mostAnswer)) // cut off by the deadline: what came counts
		_, _ = io.Copy(io.Discard, r)
		answer <- string(b)
	}()
	select {
	case <-proc.Done():
	case <-timer.C:
		err = fmt.Errorf("%s did not answer within %s", strings.Join(args, " "), askLimit)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = proc.Signal(syscall.SIGKILL) // the wait tells
		<-proc.Done()
		_ = r.SetReadDeadline(time.Now())
	}
	text := <-answer
	if err != nil {
		return "", err
	}
	exit := proc.Exit()
	a.meter.StepEnded(exit)
	if exit.Code != 0 || exit.Signal != "" {
		return fmt.Sprintf("failed with %d%s", exit.Code, exit.Signal), nil
	}
	return cache.Version(text), nil
}
