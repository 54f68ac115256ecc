package worker

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/job"
)

// Trust says which claims a worker runs. The server is asked for no others; a worker that gets one
// all the same gives it back.
type Trust struct {
	// Allow are the jobs; empty for all. Commands says that commands without a definition run.
	Allow    []string
	Commands bool
	// Local returns what a claim runs by the definition of its job on this host's own disk, or an
	// error if that is not the version that the claim names. With it the words of the server are
	// not run; nil trusts the server.
	Local func(c job.Claim) (job.Spec, error)
}

// accept returns the claim as it is run on this host, or why it is not.
func (t Trust) accept(c job.Claim, dirExists func(path string) error) (job.Claim, error) {
	if why := t.refuse(c); why != "" {
		return c, errors.New(why)
	}
	if t.Local != nil {
		spec, err := t.Local(c)
		if err != nil {
			return c, err
		}
		// What the server decides all the same: the names under which the run is found, and how
		// much memory a further attempt gets.
		spec.Labels, spec.MemoryBytes = c.Spec.Labels, c.Spec.MemoryBytes
		c.Spec = spec
	}
	if c.Spec.Dir != "" {
		return c, dirExists(c.Spec.Dir)
	}
	return c, nil
}

// refuse returns why a claim is not run on this host, whatever its definition is; empty for no
// reason.
func (t Trust) refuse(c job.Claim) string {
	switch {
	case job.CheckRunID(c.Run) != nil, c.Attempt < 1, c.Attempt > job.MaxAttempt, c.Claim == "":
		return "the claim names no attempt"
	case job.CheckName(c.Job) != nil:
		return fmt.Sprintf("the claim names no job: %v", job.CheckName(c.Job))
	case c.Spec.Version != job.SpecVersion:
		return fmt.Sprintf("the claim has version %d, and this worker runs version %d: update it", c.Spec.Version, job.SpecVersion)
	case len(c.Spec.Args) == 0 || c.Spec.Args[0] == "":
		return "the claim has no command"
	case len(t.Allow) > 0 && !slices.Contains(t.Allow, c.Job):
		return fmt.Sprintf("this worker runs %s only (--allow)", strings.Join(t.Allow, ", "))
	case c.Definition == "" && (!t.Commands || t.Local != nil):
		return "this worker runs no commands without a definition (--allow-commands)"
	}
	return ""
}

// statLimit bounds the wait for a file system that does not answer.
const statLimit = 2 * time.Second

// dirExists returns an error that says why a path is no directory.
func dirExists(path string) error {
	info, err := bounded.Call(statLimit, func() (os.FileInfo, error) { return os.Stat(path) })
	switch {
	case err != nil:
		return fmt.Errorf("the directory of the job cannot be used: %w", err)
	case !info.IsDir():
		return fmt.Errorf("the directory of the job cannot be used: %s is not a directory", path)
	}
	return nil
}
