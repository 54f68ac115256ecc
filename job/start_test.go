package job

import (
	"math"
	"testing"
	"time"
)

func TestServerTime(t *testing.T) {
	received := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		started time.Time
		offset  time.Duration
		want    time.Time
	}{
		"at once":                        {received, 0, received},
		"hours ago":                      {received.Add(-5 * time.Hour), 0, received.Add(-5 * time.Hour)},
		"the agent's clock is behind":    {received.Add(-10*time.Minute - time.Second), 10 * time.Minute, received.Add(-time.Second)},
		"the agent's clock is ahead":     {received.Add(time.Hour - time.Minute), -time.Hour, received.Add(-time.Minute)},
		"ahead, and it does not say":     {received.Add(time.Hour), 0, received},
		"the clock was set back between": {received.Add(time.Hour), -time.Minute, received},
		"another zone":                   {received.Add(-time.Hour).In(time.FixedZone("", 3600)), 0, received.Add(-time.Hour)},
		"an offset beyond reason":        {received, math.MaxInt64, received},
		"behind beyond reason":           {received, math.MinInt64, time.Unix(0, 0).UTC()},
		"a clock that was never set":     {time.Unix(0, 0), 0, time.Unix(0, 0).UTC()},
	} {
		if got := ServerTime(tt.started, tt.offset, received); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestDeliveredLate(t *testing.T) {
	received := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	for late, want := range map[time.Duration]time.Duration{
		0: 0, LateAfter - 1: 0, LateAfter: LateAfter, 2 * time.Hour: 2 * time.Hour,
	} {
		if got := DeliveredLate(received.Add(-late), received); got != want {
			t.Errorf("%s after its start: %s, want %s", late, got, want)
		}
	}
}

func TestTook(t *testing.T) {
	at := time.Unix(1800000000, 0)
	before, after := at.Add(-time.Second), at.Add(time.Second)
	for _, c := range []struct {
		what       string
		start, end *time.Time
		want       time.Duration
		known      bool
	}{
		{"ended", &at, &after, time.Second, true},
		{"active", &at, nil, 0, false},
		{"never started", nil, &at, 0, false},
		{"reported only at its end", &at, &at, 0, false},
		{"the clock was set back", &at, &before, 0, false},
	} {
		if took, known := (Run{StartedAt: c.start, EndedAt: c.end}).Took(); took != c.want || known != c.known {
			t.Errorf("%s: %s, %v", c.what, took, known)
		}
	}
}
