package clock

import "time"

// HoldFor is how long nothing is started or deleted because of a time after a clock was set.
const HoldFor = 5 * time.Minute

// Moved is by how much the clock of a host must have been set for that to matter.
const Moved = time.Minute

// Watch compares the clock of a host with the time that has passed.
type Watch struct {
	wall  time.Time
	after time.Duration // since some beginning, when wall was shown
	until time.Duration // held until then; zero for not
}

// Compare takes what the clock shows, and the time that has passed since some beginning, as SinceBoot returns it. It
// returns by how much the clock was set since the last call, zero for up to Moved, and whether nothing is to be
// started or deleted, because that happened less than HoldFor ago. A host that was suspended is late, and its clock was
// not set.
func (c *Watch) Compare(wall time.Time, after time.Duration) (moved time.Duration, held bool) {
	if !c.wall.IsZero() {
		moved = wall.Round(0).Sub(c.wall) - (after - c.after)
		if moved.Abs() > Moved {
			c.until = after + HoldFor
		} else {
			moved = 0
		}
	}
	c.wall, c.after = wall.Round(0), after
	return moved, after < c.until
}
