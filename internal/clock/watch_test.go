package clock

import (
	"testing"
	"time"
)

func TestWatch(t *testing.T) {
	begin := time.Date(2026, 11, 29, 2, 0, 0, 0, time.UTC)
	var c Watch
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
