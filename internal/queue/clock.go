package queue

import (
	"time"

	"stint.dev/stint/internal/clock"
)

// LatestClaimEnd returns the latest end that a claim may have now.
func LatestClaimEnd(now time.Time) time.Time { return clock.LatestNow(now).Add(ClaimTime) }

// LatestLeaseEnd returns the latest end that the row of a worker may have for its lease now.
func LatestLeaseEnd(now time.Time) time.Time {
	return LongestLease(clock.LatestNow(now)).Add(LeaseAhead)
}
