package job

import "time"

// LateAfter is how much later than its start the server may first hear of a run, or later than
// its end of the end, before it counts as delivered late.
const LateAfter = 30 * time.Second

// Start returns when a run started, on the server's clock. Lists, the last run of a job, its
// series and retention go by it, whenever the run was delivered.
//
// Started is the agent's time of the start. Offset is what the agent's clock was behind the
// server's when the server first heard of the attempt, at heard; 0 where the agent did not say
// what its clock was. A run cannot start later than the server heard of it, and none started
// before 1970, where a clock begins that was never set.
func Start(started time.Time, offset time.Duration, heard time.Time) time.Time {
	at := started.Add(offset)
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
