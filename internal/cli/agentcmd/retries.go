package agentcmd

import (
	"fmt"

	"stint.dev/stint/internal/agent/retry"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// retries returns what the options say about further attempts.
func retries(opts *option.Set) retry.Policy {
	return retry.Policy{Most: int(opts.Number("retries")), Backoff: opts.Duration("retry-backoff"), Wait: opts.Duration("retry-wait")}
}

func checkBackoff(text string) error {
	if d, err := option.ParseDuration(text); err == nil && d > job.MaxRetryPause {
		return fmt.Errorf("%s is more than %s", d, job.MaxRetryPause)
	}
	return nil
}
