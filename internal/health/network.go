package health

import "time"

const (
	// Together is the share of the active runs, in percent, whose common silence is the
	// network's and not theirs; with fewer than TogetherAtLeast active it says nothing.
	Together        = 30
	TogetherAtLeast = 10
	// HoldFor bounds how long verdicts are put off for that; when most are heard again,
	// the others have HoldAfter left.
	HoldFor   = 5 * time.Minute
	HoldAfter = 30 * time.Second
)

// FellSilentTogether reports whether so many of the active runs are silent that something
// they share must be the cause.
func FellSilentTogether(silent, active int) bool {
	return active >= TogetherAtLeast && silent*100 >= active*Together
}

// hold is the common silence that is going on, if any.
type hold struct {
	until time.Time // verdicts wait until then; zero for no hold
	on    bool      // the silence is going on
}

// holdChange is what an update did, so that it is said once.
type holdChange int

const (
	holdSame holdChange = iota
	holdBegan
	holdEnded
)

// update takes the counts of one look. A hold that has run its time is not made longer:
// a new one needs the silence to end first.
func (h *hold) update(now time.Time, silent, active int) holdChange {
	together := FellSilentTogether(silent, active)
	switch {
	case together && !h.on:
		h.on, h.until = true, now.Add(HoldFor)
		return holdBegan
	case !together && h.on:
		h.on = false
		h.until = earlier(h.until, now.Add(HoldAfter))
		return holdEnded
	}
	return holdSame
}

// heldUntil is the end of the hold for the judgement at now; zero when none holds.
func (h *hold) heldUntil(now time.Time) time.Time {
	if now.Before(h.until) {
		return h.until
	}
	return time.Time{}
}
