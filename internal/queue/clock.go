package queue

import (
	"time"

	"stint.dev/stint/internal/clock"
)

// LatestClaimEnd returns the latest end that a claim may have now.
func LatestClaimEnd(now time.Time) time.Time { return clock.LatestNow(now).Add(ClaimTime) }

// LatestLeaseEnd returns the latest end that the lease of a worker may have now.
func LatestLeaseEnd(now time.Time) time.Time { return WorkerLease(clock.LatestNow(now), maxWait) }
