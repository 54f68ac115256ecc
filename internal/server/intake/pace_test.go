package intake

import (
	"testing"
	"time"
)

// A fleet that would beat five times too often converges to the target and stays there.
func TestPacerSettles(t *testing.T) {
	p := newPacer(100)
	const agents, period = 500, time.Second
	now := time.Unix(0, 0)
	due := make([]time.Time, agents)
	for i := range due {
		due[i] = now.Add(time.Duration(i) * period / agents)
	}
	beats := 0
	end := now.Add(3 * time.Minute)
	for step := now; step.Before(end); step = step.Add(10 * time.Millisecond) {
		for i := range due {
			if !due[i].After(step) {
				due[i] = step.Add(p.next(step, period))
				if step.After(now.Add(time.Minute)) {
					beats++
				}
			}
		}
	}
	if rate := float64(beats) / 120; rate < 70 || rate > 130 {
		t.Errorf("%.0f beats per second, want about 100", rate)
	}
	// A small fleet is left alone.
	slow := newPacer(100)
	for i := range 1000 {
		if got := slow.next(now.Add(time.Duration(i)*time.Second), period); got != period {
			t.Fatalf("beat %d: next after %s", i, got)
		}
	}
}
