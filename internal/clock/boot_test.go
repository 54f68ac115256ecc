package clock

import "testing"

func TestSinceBootGoesOn(t *testing.T) {
	first := SinceBoot()
	if second := SinceBoot(); first <= 0 || second < first {
		t.Errorf("%s, then %s", first, second)
	}
}
