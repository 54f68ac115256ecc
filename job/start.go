package job

import "time"

// LateAfter is how much later than its start the server may first hear of a run, or later than
// its end of the end, before it counts as delivered late.
const LateAfter = 30 * time.Second

// ServerTime returns when something happened, on the server's clock, of which an agent says that
// it happened at a time of its own clock.
//
// Offset is what the agent's clock was behind the server's when the server heard of it, at heard; 0
// where the agent did not say what its clock was. Nothing can happen later than the server hears of
// it, or before 1970, where a clock begins that was never set.
func ServerTime(at time.Time, offset time.Duration, heard time.Time) time.Time {
	at = at.Add(offset)
	switch epoch := time.Unix(0, 0); {
	case at.After(heard):
		at = heard
	case at.Before(epoch):
		at = epoch
	}
	return at.UTC()
}

// DeliveredLate returns how long after its start the server first heard of a run; 0 if that is
// less than LateAfter.
func DeliveredLate(start, heard time.Time) time.Duration {
	if late := heard.Sub(start); late >= LateAfter {
		return late
	}
	return 0
}
