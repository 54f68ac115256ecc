package schedule

import (
	"testing"
	"time"
)

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
