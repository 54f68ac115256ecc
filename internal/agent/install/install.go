// Package install reuses what the install steps of an earlier run made, by way of the cache.
package install

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
)

const (
	// versionTimeout bounds the time that an interpreter may take to print its version.
	versionTimeout = 5 * time.Second
	// maxAnswer bounds what is read of it.
	maxAnswer = 4 << 10
)

// Config says what the install steps of an attempt are, and what they make.
type Config struct {
	StateDir string // where the cache is
	// Dir is the job's directory; empty for the agent's own. DirPath is its absolute path.
	Dir, DirPath string
	Steps        []string // commands
	LockFiles    []string // relative to DirPath, as CacheDirs are
	CacheDirs    []string // what the steps make
	Env          []string
	// Start runs an interpreter among the job's processes, and Ended is called with its end.
	Start func(process.Spec) (*process.Process, error)
	Ended func(process.Exit)
}

// Candidate is what the install steps of an attempt make, for the cache.
type Candidate struct {
	cfg    Config
	store  *cache.Cache
	inputs cache.Inputs
}

// CacheResult is what the cache holds for the install steps.
type CacheResult struct {
	// Candidate is what can be kept when the steps have run; nil when the cache cannot be used.
	Candidate *Candidate
	Used      *cache.Info // what was put in place; nil when the cache has nothing
}

// Restore puts in place what the install steps would make, if an earlier run has made the
// same. CacheResult.Used then says what it is.
func Restore(ctx context.Context, c Config) (f CacheResult, err error) {
	if err = c.check(); err != nil {
		return f, err
	}
	f.Candidate = &Candidate{cfg: c, store: cache.Open(c.StateDir)}
	if f.Candidate.inputs, err = c.inputs(ctx); err != nil {
		return f, err
	}
	f.Used, err = f.Candidate.restore(ctx)
	return f, err
}

// Key returns the key in the cache, for people.
func (c *Candidate) Key() string { return cache.Short(c.inputs.Key()) }

// restore returns nil when the cache has nothing.
func (c *Candidate) restore(ctx context.Context) (*cache.Info, error) {
	entry, err := c.store.Find(ctx, c.inputs.Key())
	if err != nil || entry == nil {
		return nil, err
	}
	defer entry.Close()
	if err := entry.Restore(ctx); err != nil {
		return nil, err
	}
	return &entry.Info, nil
}

// Keep copies what the install steps made into the cache. shown are the commands as they may be
// stored. It is called before the command starts, which may change what they made.
func (c *Candidate) Keep(ctx context.Context, shown []string) (cache.PublishResult, error) {
	if name := c.inputs.Changed(c.cfg.DirPath); name != "" {
		return cache.PublishResult{}, fmt.Errorf("the lock file %s changed during the install", name)
	}
	return c.store.Publish(ctx, c.inputs, shown)
}

// check returns what keeps this attempt from using the cache. An entry belongs to a path, so
// the path of the working directory must lead to it.
func (c Config) check() error {
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

// inputs gathers what decides the install's result.
func (c Config) inputs(ctx context.Context) (cache.Inputs, error) {
	in, err := cache.Gather(cache.Request{
		WorkDir: c.DirPath, LockFiles: c.LockFiles, Dirs: c.CacheDirs, Install: c.Steps, Env: c.Env,
	})
	if err != nil {
		return in, err
	}
	for _, q := range cache.VersionQueries(c.Steps, in.Dirs) {
		i := cache.Interpreter{Name: q.Name}
		path, found := process.FindProgram(q.Args[0], c.Dir, c.Env)
		if found {
			i.Path = path
			if i.Version, err = c.version(ctx, q.Args); err != nil {
				return in, fmt.Errorf("the version of %s is not known: %w", q.Name, err)
			}
		}
		in.Interpreters = append(in.Interpreters, i)
	}
	return in, nil
}

// version runs an interpreter among the job's processes and returns what it prints. One that
// fails says so in its exit code, which is part of the inputs too.
func (c Config) version(ctx context.Context, args []string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer r.Close()
	proc, err := c.Start(process.Spec{Args: args, Dir: c.Dir, Env: c.Env, Stdout: w, Stderr: w})
	_ = w.Close()
	if err != nil {
		return "cannot be started", nil
	}
	timer := time.NewTimer(versionTimeout)
	defer timer.Stop()
	answer := make(chan string, 1)
	_ = r.SetReadDeadline(time.Now().Add(versionTimeout)) // a pipe that cannot have one ends with its writers
	go func() {
		b, _ := io.ReadAll(io.LimitReader(r, maxAnswer)) // cut off by the deadline: what came counts
		_, _ = io.Copy(io.Discard, r)
		answer <- string(b)
	}()
	select {
	case <-proc.Done():
	case <-timer.C:
		err = fmt.Errorf("%s did not answer within %s", strings.Join(args, " "), versionTimeout)
	case <-ctx.Done():
		err = ctx.Err()
	}
	if err != nil {
		_ = proc.Signal(syscall.SIGKILL) // if it fails, the process has ended
		<-proc.Done()
		_ = r.SetReadDeadline(time.Now())
	}
	text := <-answer
	if err != nil {
		return "", err
	}
	exit := proc.Exit()
	c.Ended(exit)
	if exit.Code != 0 || exit.Signal != "" {
		return fmt.Sprintf("failed with %d%s", exit.Code, exit.Signal), nil
	}
	return cache.Version(text), nil
}
