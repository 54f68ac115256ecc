package live

import (
	"testing"
	"time"
)

// A stream that had nothing to send reads at once, several times: a short run starts and ends within minStepInterval. One
// that always has something reads once in each.
func TestPauseBetweenReads(t *testing.T) {
	const ms = time.Millisecond
	for name, c := range map[string]struct {
		work []time.Duration // how long each read and the wait for something to read take, before the pause
		want []time.Duration
	}{
		"a run that prints a lot": {
			[]time.Duration{0, 0, 0, 0, 0, 0, 0},
			[]time.Duration{0, 0, 0, minStepInterval, minStepInterval, minStepInterval, minStepInterval},
		},
		"reads that take long":     {[]time.Duration{0, 60 * ms, 60 * ms, 60 * ms, 60 * ms, 60 * ms}, []time.Duration{0, 0, 0, 0, 0, 0}},
		"two reads each 60 ms":     {[]time.Duration{0, 0, 60 * ms, 0, 60 * ms, 0}, []time.Duration{0, 0, 0, 0, 0, 30 * ms}},
		"quiet for a while, again": {[]time.Duration{0, 0, 0, 0, time.Second, 0, 0, 0}, []time.Duration{0, 0, 0, minStepInterval, 0, 0, 0, minStepInterval}},
	} {
		t.Run(name, func(t *testing.T) {
			var p stepPace
			now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
			for i, work := range c.work {
				now = now.Add(work)
				got := p.pause(now)
				if got != c.want[i] {
					t.Errorf("pause %d is %s, want %s", i, got, c.want[i])
				}
				now = now.Add(got)
			}
		})
	}
}
