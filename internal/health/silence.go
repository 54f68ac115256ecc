package health

import (
	"time"

	"stint.dev/stint/internal/health/rules"
)

const (
	// TogetherPercent is the share of the active runs whose common silence is the fault of the
	// network. With fewer than MinTogether active runs silence has no such meaning.
	TogetherPercent = 30
	MinTogether     = 10
	// HoldAfter is how long verdicts are delayed after most of these runs report again. The limit
	// of all such delays is rules.HoldLimit.
	HoldAfter = 30 * time.Second
)

// FellSilentTogether reports whether so many of the active runs are silent that there must be a
// common cause.
func FellSilentTogether(silent, active int) bool {
	return active >= MinTogether && silent*100 >= active*TogetherPercent
}

// hold delays verdicts because of a common silence.
type hold struct {
	until time.Time // the end of the delay; zero for none
	on    bool      // the silence continues
}

// holdChange is how an update has changed a hold, so that each change is reported once.
type holdChange int

const (
	holdSame holdChange = iota
	holdBegan
	holdEnded
)

// update changes the hold for the counts of a round. A hold is not extended when it ends: a new one begins
// only after the silence has ended.
func (h *hold) update(now time.Time, silent, active int) holdChange {
	together := FellSilentTogether(silent, active)
	switch {
	case together && !h.on:
		h.on, h.until = true, now.Add(rules.HoldLimit)
		return holdBegan
	case !together && h.on:
		h.on = false
		h.until = rules.Earlier(h.until, now.Add(HoldAfter))
		return holdEnded
	}
	return holdSame
}

// heldUntil returns the end of the delay; zero if there is none at now.
func (h *hold) heldUntil(now time.Time) time.Time {
	if now.Before(h.until) {
		return h.until
	}
	return time.Time{}
}

// tally is a count of all owners, and those of the two owners with the largest counts.
type tally struct {
	total  int
	owners [2]string
	most   [2]int
}

// tallyOf returns the tally of counts by owner.
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

// other returns the owner with the largest count except one owner, and its count.
func (t tally) other(than string) (owner string, n int) {
	if t.owners[0] == than {
		return t.owners[1], t.most[1]
	}
	return t.owners[0], t.most[0]
}

// holds are the holds by owner. For each owner the runs of that other owner are not counted of which most are
// silent, so that the silence of one owner's runs alone delays no verdict on the runs of others.
type holds map[string]*hold

// update changes the holds for the counts of a round: silent and active runs by owner.
func (h holds) update(now time.Time, silent, active map[string]int) holdChange {
	before, quiet, all := h.isOn(), tallyOf(silent), tallyOf(active)
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
	switch after := h.isOn(); {
	case after && !before:
		return holdBegan
	case before && !after:
		return holdEnded
	}
	return holdSame
}

// isOn reports whether there is a common silence.
func (h holds) isOn() bool {
	for _, own := range h {
		if own.on {
			return true
		}
	}
	return false
}

// heldUntil returns the end of the delay for the runs of an owner; zero if there is none at now.
func (h holds) heldUntil(owner string, now time.Time) time.Time {
	if own := h[owner]; own != nil {
		return own.heldUntil(now)
	}
	return time.Time{}
}

// until returns the end of the longest delay.
func (h holds) until() (end time.Time) {
	for _, own := range h {
		end = rules.Later(end, own.until)
	}
	return end
}
