package job

import (
	"math"
	"testing"
	"time"
)

func TestServerTime(t *testing.T) {
	heard := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	for name, tt := range map[string]struct {
		started time.Time
		offset  time.Duration
		want    time.Time
	}{
		"at once":                        {heard, 0, heard},
		"hours ago":                      {heard.Add(-5 * time.Hour), 0, heard.Add(-5 * time.Hour)},
		"the agent's clock is behind":    {heard.Add(-10*time.Minute - time.Second), 10 * time.Minute, heard.Add(-time.Second)},
		"the agent's clock is ahead":     {heard.Add(time.Hour - time.Minute), -time.Hour, heard.Add(-time.Minute)},
		"ahead, and it does not say":     {heard.Add(time.Hour), 0, heard},
		"the clock was set back between": {heard.Add(time.Hour), -time.Minute, heard},
		"another zone":                   {heard.Add(-time.Hour).In(time.FixedZone("", 3600)), 0, heard.Add(-time.Hour)},
		"an offset beyond reason":        {heard, math.MaxInt64, heard},
		"behind beyond reason":           {heard, math.MinInt64, time.Unix(0, 0).UTC()},
		"a clock that was never set":     {time.Unix(0, 0), 0, time.Unix(0, 0).UTC()},
	} {
		if got := ServerTime(tt.started, tt.offset, heard); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestDeliveredLate(t *testing.T) {
	heard := time.Date(2026, 3, 1, 6, 0, 0, 0, time.UTC)
	for late, want := range map[time.Duration]time.Duration{
		0: 0, LateAfter - 1: 0, LateAfter: LateAfter, 2 * time.Hour: 2 * time.Hour,
	} {
		if got := DeliveredLate(heard.Add(-late), heard); got != want {
			t.Errorf("%s after its start: %s, want %s", late, got, want)
		}
	}
}
