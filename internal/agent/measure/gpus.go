package measure

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/agent/gpu"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/job"
)

const (
	// gpuInterval is the shortest time between two queries: one costs some 100 ms of CPU.
	gpuInterval = 10 * time.Second
	// gpuTimeout bounds one query; a driver in trouble does not answer.
	gpuTimeout = 5 * time.Second
	// gpuFailures in a row end the queries.
	gpuFailures = 3
)

// gpus runs nvidia-smi beside everything else. A sample takes what was read since the last
// one, and never waits.
type gpus struct {
	fresh atomic.Pointer[[]job.GPU]
	note  func(text string)
}

// take returns what was read since the last call.
func (g *gpus) take() []job.GPU {
	if all := g.fresh.Swap(nil); all != nil {
		return *all
	}
	return nil
}

// watch queries until ctx ends, or until it has failed too often. Where there is no
// nvidia-smi it ends at once.
func (g *gpus) watch(ctx context.Context, dir string, env []string, period time.Duration) {
	timer := time.NewTimer(firstSample) // a job that is over sooner is not worth the search
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return
	}
	path, found := process.FindProgram(gpu.Program, dir, env)
	if !found {
		return
	}
	// It is no part of the job, so it does not carry the job's mark.
	env = slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, "STINT_") })
	timer.Reset(0)
	for failed := 0; failed < gpuFailures; {
		select {
		case <-timer.C:
		case <-ctx.Done():
			return
		}
		err := g.query(ctx, path, env)
		if ctx.Err() != nil {
			return
		}
		if failed++; err == nil {
			failed = 0
		} else if failed == gpuFailures {
			g.note(fmt.Sprintf("the GPUs are no longer measured: %v", err))
		}
		timer.Reset(period)
	}
}

func (g *gpus) query(ctx context.Context, path string, env []string) error {
	ctx, cancel := context.WithTimeout(ctx, gpuTimeout)
	defer cancel()
	answer, err := process.RunProgram(ctx, append([]string{path}, gpu.Query...), env)
	if err != nil {
		return err
	}
	all, err := gpu.Parse(answer)
	if err == nil {
		g.fresh.Store(&all)
	}
	return err
}
