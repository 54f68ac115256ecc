package health

import "time"

const (
	// Together is the share of the active runs, in percent, whose common silence is the
	// network's and not theirs; with fewer than TogetherAtLeast active it says nothing.
	Together        = 30
	TogetherAtLeast = 10
	// HoldFor bounds how long verdicts are put off for that; when most report again,
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

// holdChange is what an update did, so that it is reported once.
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

// tally is a count over all owners, and how much of it are those of two: the ones with the most.
type tally struct {
	total  int
	owners [2]string
	most   [2]int
}

// tallyOf counts what each owner has.
func tallyOf(counts map[string]int) (t tally) {
	for owner, n := range counts {
		t.total += n
		switch {
		case n > t.most[0] || n == t.most[0] && owner < t.owners[0]:
			t.owners[1], t.most[1] = t.owners[0], t.most[0]
			t.owners[0], t.most[0] = owner, n
		case n > t.most[1]:
			t.owners[1], t.most[1] = owner, n
		}
	}
	return t
}

// other is the owner with the most apart from one, and how much that is.
func (t tally) other(than string) (owner string, n int) {
	if t.owners[0] == than {
		return t.owners[1], t.most[1]
	}
	return t.owners[0], t.most[0]
}

// holds are the common silences as the runs of each owner see them: without the runs of the
// other owner of which most are silent. So the silence of one owner's runs alone delays no
// verdict on those of others.
type holds map[string]*hold

// update takes the counts of one look: how many runs of each owner are silent, and active.
func (h holds) update(now time.Time, silent, active map[string]int) holdChange {
	before, quiet, all := h.on(), tallyOf(silent), tallyOf(active)
	for owner := range silent {
		if h[owner] == nil {
			h[owner] = &hold{}
		}
	}
	for owner, own := range h {
		other, n := quiet.other(owner)
		if n == 0 {
			own.update(now, quiet.total, all.total)
		} else {
			own.update(now, quiet.total-n, all.total-active[other])
		}
		if !own.on && !now.Before(own.until) {
			delete(h, owner)
		}
	}
	switch after := h.on(); {
	case after && !before:
		return holdBegan
	case before && !after:
		return holdEnded
	}
	return holdSame
}

// on reports whether a common silence is going on.
func (h holds) on() bool {
	for _, own := range h {
		if own.on {
			return true
		}
	}
	return false
}

// heldUntil is the end of the hold on the runs of an owner for the judgement at now; zero when
// none holds.
func (h holds) heldUntil(owner string, now time.Time) time.Time {
	if own := h[owner]; own != nil {
		return own.heldUntil(now)
	}
	return time.Time{}
}

// until is the end of the hold that lasts longest.
func (h holds) until() (end time.Time) {
	for _, own := range h {
		end = later(end, own.until)
	}
	return end
}
