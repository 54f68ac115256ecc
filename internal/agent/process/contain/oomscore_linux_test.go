package contain

import "testing"

func TestAgentScore(t *testing.T) {
	for caller, want := range map[int]int{0: -500, 300: -200, 1000: 500, -300: -800, -600: -999, -999: -999, -1000: -1000} {
		if got := AgentScore(caller); got != want {
			t.Errorf("caller %d: agent %d, want %d", caller, got, want)
		}
	}
}
