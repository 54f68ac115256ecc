package job

import (
	"math"
	"testing"
	"time"
)

func TestTroublePause(t *testing.T) {
	for tries, want := range map[int]time.Duration{
		-1: 10 * time.Second, 0: 10 * time.Second, 1: 10 * time.Second, 2: 20 * time.Second, 3: 40 * time.Second,
		9: 2560 * time.Second, 10: time.Hour, 1000: time.Hour, math.MaxInt: time.Hour,
	} {
		if got := TroublePause(tries); got != want {
			t.Errorf("after %d tries: %s, want %s", tries, got, want)
		}
	}
}
