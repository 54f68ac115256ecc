package db

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Steps pause so that other work gets its turn: as long as the last one took, or a multiple of that, and at most a second.
func TestPausesBetweenSteps(t *testing.T) {
	const ms = time.Millisecond
	takes := []time.Duration{10 * ms, 20 * ms, 400 * ms, 5 * ms}
	for pace, want := range map[int][]time.Duration{
		1: {0, 20 * ms, 60 * ms, 860 * ms},
		4: {0, 50 * ms, 150 * ms, 1550 * ms},
	} {
		synctest.Test(t, func(t *testing.T) {
			d := &DB{Now: time.Now}
			start := time.Now()
			var began []time.Duration
			err := d.RunPacedSteps(t.Context(), pace, func() (more bool, err error) {
				began = append(began, time.Since(start))
				<-time.After(takes[len(began)-1])
				return len(began) < len(takes), nil
			})
			if err != nil || !slices.Equal(began, want) {
				t.Errorf("with pace %d steps begin at %v, want %v; %v", pace, began, want, err)
			}
		})
	}
}
