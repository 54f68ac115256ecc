package agentcmd

import (
	"math"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// retries reads the options about further attempts.
func retries(opts *option.Set) (retry.Policy, error) {
	n := opts.Number("retries")
	if n != math.Trunc(n) || n < 0 || n >= job.MaxAttempt {
		return retry.Policy{}, option.Usagef("--retries: %v is not a whole number from 0 to %d", n, job.MaxAttempt-1)
	}
	if d := opts.Duration("retry-backoff"); d > job.MaxRetryPause {
		return retry.Policy{}, option.Usagef("--retry-backoff: %s is more than %s", d, job.MaxRetryPause)
	}
	return retry.Policy{Most: int(n), Backoff: opts.Duration("retry-backoff"), Wait: opts.Duration("retry-wait")}, nil
}
