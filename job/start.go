package job

import "time"

// LateAfter is how long after the start of a run its first report may arrive, or after its end the
// report of the end, before the run counts as delivered late.
const LateAfter = 30 * time.Second

// ServerTime converts a time of an agent's clock to the server's clock.
//
// offset is how far the agent's clock was behind the server's when the report arrived, at received;
// 0 if the agent did not send its clock. Nothing happens after its report arrived, or before 1970,
// where a clock begins that was never set.
func ServerTime(at time.Time, offset time.Duration, received time.Time) time.Time {
	at = at.Add(offset)
	switch epoch := time.Unix(0, 0); {
	case at.After(received):
		at = received
	case at.Before(epoch):
		at = epoch
	}
	return at.UTC()
}

// DeliveredLate returns how long after its start the first report of a run arrived; 0 if that is
// less than LateAfter.
func DeliveredLate(start, received time.Time) time.Duration {
	if late := received.Sub(start); late >= LateAfter {
		return late
	}
	return 0
}

// Took returns how long a run took that has ended; false if the duration is not known. One that was reported only when it had ended
// has the same time as its start and as its end, and the clock of a host may have been set back meanwhile.
func (r Run) Took() (time.Duration, bool) {
	if r.StartedAt == nil || r.EndedAt == nil || !r.EndedAt.After(*r.StartedAt) {
		return 0, false
	}
	return r.EndedAt.Sub(*r.StartedAt), true
}
