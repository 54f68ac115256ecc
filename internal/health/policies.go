package health

import (
	"context"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/internal/policy"
)

// rereadInterval is how often policies are read again while one of them is invalid.
const rereadInterval = 10 * time.Second

// policies are the policies of jobs.
type policies struct {
	version string
	own     map[string]policy.Policy // by job
	// unreadable are the jobs whose policy was invalid at readAt.
	unreadable []string
	readAt     time.Time
}

var defaultPolicy = policy.Default()

// of returns the policy that applies to a job.
func (p *policies) of(job string) policy.Policy {
	if own, ok := p.own[job]; ok {
		return own
	}
	return defaultPolicy
}

// refresh reads the policies again if one was set or deleted, and once in rereadInterval while one is invalid. The
// default policy applies to a job whose policy is invalid.
func (p *policies) refresh(ctx context.Context, now time.Time, store Store) error {
	seen := p.version
	if len(p.unreadable) > 0 && now.Sub(p.readAt) >= rereadInterval {
		seen = ""
	}
	all, version, err := store.Policies(ctx, seen)
	if err != nil || version == seen {
		return err
	}
	before := p.unreadable
	own := make(map[string]policy.Policy, len(all))
	p.unreadable = nil
	for _, stored := range all {
		parsed, err := policy.Parse([]byte(stored.YAML))
		if err == nil {
			own[stored.Job] = parsed
			err = stored.Unreadable
		}
		if err != nil {
			p.unreadable = append(p.unreadable, stored.Job)
			store.PolicyFailed(ctx, stored.Job, fmt.Errorf("the stored policy of job %s cannot be read, so the default policy applies: %w; set it again", stored.Job, err))
			continue
		}
		store.PolicyRead(ctx, stored.Job)
	}
	for _, name := range before {
		if !slices.ContainsFunc(all, func(stored policy.Stored) bool { return stored.Job == name }) {
			store.PolicyRead(ctx, name) // it was deleted
		}
	}
	p.version, p.own, p.readAt = version, own, now
	return nil
}
