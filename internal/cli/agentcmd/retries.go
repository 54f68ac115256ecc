package agentcmd

import (
	"math"

	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// retries reads the options about further attempts.
func retries(opts *option.Set) (agent.Retry, error) {
	n := opts.Number("retries")
	if n != math.Trunc(n) || n < 0 || n >= job.MaxAttempt {
		return agent.Retry{}, option.Usagef("--retries: %v is not a whole number from 0 to %d", n, job.MaxAttempt-1)
	}
	if d := opts.Duration("retry-backoff"); d > job.MaxRetryPause {
		return agent.Retry{}, option.Usagef("--retry-backoff: %s is more than %s", d, job.MaxRetryPause)
	}
	return agent.Retry{Most: int(n), Backoff: opts.Duration("retry-backoff"), Wait: opts.Duration("retry-wait")}, nil
}
