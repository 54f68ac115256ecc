package queue

import "time"

// A server whose clock is ahead stores times of its clock. When the clock is set back, nothing may last until these
// times come.

// clockDifference is by how much the clocks of servers may differ.
const clockDifference = time.Minute

// LatestNow returns the latest time that the clock of a server may show now; what was stored at a later one was stored by
// a clock that was ahead.
func LatestNow(now time.Time) time.Time { return now.Add(clockDifference) }

// LatestClaimEnd returns the latest end that a claim may have now.
func LatestClaimEnd(now time.Time) time.Time { return LatestNow(now).Add(ClaimTime) }

// LatestLeaseEnd returns the latest end that the lease of a worker may have now.
func LatestLeaseEnd(now time.Time) time.Time { return WorkerLease(LatestNow(now), maxWait) }
