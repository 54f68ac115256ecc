package clock

import (
	"testing"
	"time"
)

func TestHasPassed(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for age, want := range map[time.Duration]bool{0: false, time.Second: false, 3 * time.Second: false, 3*time.Second + 1: true, time.Hour: true, -1: true, -time.Hour: true} {
		if got := HasPassed(now.Add(-age), now, 3*time.Second); got != want {
			t.Errorf("%s ago: %v", age, got)
		}
	}
}
