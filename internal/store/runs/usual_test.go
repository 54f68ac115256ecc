package runs

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"

	"stint.dev/stint/internal/band"
)

// figures are those of n good runs that took a number of seconds.
func figures(t *testing.T, n int, seconds float64) []byte {
	t.Helper()
	text, err := json.Marshal(slices.Repeat([]band.GoodRun{{Seconds: seconds, Peak: 1 << 20, Output: 100}}, n))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestBandsFollowTheFigures(t *testing.T) {
	var b bands
	for range 2 { // the second time from memory
		for seconds := range 5 {
			text := figures(t, band.MinRuns, float64(seconds))
			if got := b.of(text); got.Runs != band.MinRuns || got.DurationSeconds.P50 != float64(seconds) {
				t.Errorf("%d s: %+v", seconds, got)
			}
		}
		for name, text := range map[string][]byte{
			"too few": figures(t, band.MinRuns-1, 1), "no JSON": []byte("{"), "another type": []byte(`"x"`), "nothing": nil,
		} {
			if got := b.of(text); got.Runs != 0 {
				t.Errorf("%s: %+v", name, got)
			}
		}
	}
}

func TestBandsInMemoryAreBounded(t *testing.T) {
	var b bands
	for i := range maxBands + 3 {
		b.of(fmt.Appendf(nil, "[%d]", i))
	}
	if n := len(b.known); n != 3 {
		t.Errorf("%d bands are in memory, want those since the limit", n)
	}
}

func TestBandsAreReadAtOnce(t *testing.T) {
	var b bands
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 100 {
				if got := b.of(figures(t, band.MinRuns, float64(n%7+i%2))); got.Runs != band.MinRuns {
					t.Errorf("%+v", got)
				}
			}
		})
	}
	all.Wait()
}
