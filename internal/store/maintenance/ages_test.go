package maintenance

import (
	"testing"
	"time"
)

// After the clock was set, nothing is deleted because of its age for a while; and what was deleted at a time that the clock
// will show again is no reason to wait for that time.
func TestNothingIsDeletedWhenTheClockWasSet(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	var a ages
	for i, step := range []struct {
		wall, after         time.Duration
		retention, versions bool
		journals            bool
	}{
		{0, 0, true, true, true},
		{10 * time.Second, 10 * time.Second, false, false, true},
		{time.Minute, time.Minute, true, false, true},
		{year, 2 * time.Minute, false, false, false},
		{year + 4*time.Minute, 6 * time.Minute, false, false, false},
		{8 * time.Minute, 8 * time.Minute, false, false, false}, // set back
		{13 * time.Minute, 13 * time.Minute, true, false, true},
		{2 * time.Hour, 2 * time.Hour, true, true, true},
	} {
		retention, versions, journals := a.due(begin.Add(step.wall), step.after)
		if retention != step.retention || versions != step.versions || journals != step.journals {
			t.Errorf("step %d: %v, %v, %v", i, retention, versions, journals)
		}
	}
}
