package schedule

import (
	"testing"
	"time"
)

func TestClock(t *testing.T) {
	begin := at(t, "2026-11-29 02:00:00")
	var c Clock
	for i, step := range []struct {
		wall, after time.Duration // since begin
		moved       time.Duration
		held        bool
	}{
		{0, 0, 0, false},
		{time.Second, time.Second, 0, false},
		{time.Hour, time.Hour, 0, false},                                            // a pause of the process is no change of the clock
		{time.Hour + time.Minute, time.Hour, 0, false},                              // up to a minute
		{2*time.Hour + 2*time.Minute, time.Hour + time.Minute, time.Hour, true},     // set an hour ahead
		{2*time.Hour + 6*time.Minute, time.Hour + 5*time.Minute, 0, true},           // for five minutes
		{2*time.Hour + 7*time.Minute, time.Hour + 6*time.Minute, 0, false},          // which are over
		{time.Hour + 7*time.Minute, time.Hour + 6*time.Minute, -time.Hour, true},    // set back
		{2*time.Hour + 8*time.Minute, time.Hour + 7*time.Minute, time.Hour, true},   // and again
		{2*time.Hour + 13*time.Minute - 1, time.Hour + 12*time.Minute - 1, 0, true}, // held since the last change
		{2*time.Hour + 13*time.Minute, time.Hour + 12*time.Minute, 0, false},
	} {
		moved, held := c.Compare(begin.Add(step.wall), step.after)
		if moved != step.moved || held != step.held {
			t.Errorf("step %d: moved %s, held %v; want %s, %v", i, moved, held, step.moved, step.held)
		}
	}
}

func TestSpreadOf(t *testing.T) {
	seen := map[time.Duration]bool{}
	for n := range 1000 {
		d := SpreadOf("job", n, 10*time.Second)
		if d < 0 || d > 10*time.Second || d%time.Second != 0 || d != SpreadOf("job", n, 10*time.Second) {
			t.Fatal(d)
		}
		seen[d] = true
	}
	if len(seen) != 11 {
		t.Errorf("%d of 11 spreads: %v", len(seen), seen)
	}
	if SpreadOf("job", 1, 0) != 0 || SpreadOf("job", 1, time.Second-1) != 0 {
		t.Error("a spread of less than a second")
	}
}
