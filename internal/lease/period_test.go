package lease

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
		p := Period(tt.ms)
		lease := For(p)
		if trust := TrustFor(p, lease); p != tt.period || lease != tt.lease || trust != tt.trust {
			t.Errorf("period_ms %d: period %s, lease %s, trust %s; want %s, %s, %s", tt.ms, p, lease, trust, tt.period, tt.lease, tt.trust)
		}
	}
}
