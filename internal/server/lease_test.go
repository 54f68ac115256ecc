package server

import (
	"testing"
	"time"
)

func TestLeaseFor(t *testing.T) {
	tests := []struct {
		ms     int64
		period time.Duration
		lease  time.Duration
		trust  time.Duration
	}{
		{0, 5 * time.Second, 20 * time.Second, 30 * time.Second},
		{-5, 5 * time.Second, 20 * time.Second, 30 * time.Second},
		{1, time.Second, 16 * time.Second, 22 * time.Second},
		{1000, time.Second, 16 * time.Second, 22 * time.Second},
		{4000, 4 * time.Second, 19 * time.Second, 28 * time.Second},
		{15_000, 15 * time.Second, 30 * time.Second, 52500 * time.Millisecond},
		{60_000, time.Minute, 2 * time.Minute, 210 * time.Second},
		{1 << 62, 5 * time.Minute, 8 * time.Minute, 15 * time.Minute},
	}
	for _, tt := range tests {
		p := periodOf(tt.ms)
		lease := LeaseFor(p)
		if trust := TrustFor(p, lease); p != tt.period || lease != tt.lease || trust != tt.trust {
			t.Errorf("period_ms %d: period %s, lease %s, trust %s; want %s, %s, %s", tt.ms, p, lease, trust, tt.period, tt.lease, tt.trust)
		}
	}
}

// A fleet that would beat five times too often settles at the target and stays there.
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
	calm := newPacer(100)
	for i := range 1000 {
		if got := calm.next(now.Add(time.Duration(i)*time.Second), period); got != period {
			t.Fatalf("beat %d: next after %s", i, got)
		}
	}
}
