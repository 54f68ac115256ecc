package band

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"stint.dev/stint/job"
)

func TestExpect(t *testing.T) {
	var last []GoodRun
	for i := range 30 {
		if got := Of(last); (got != nil) != (len(last) >= MinRuns) {
			t.Fatalf("%d good runs expect %+v", len(last), got)
		}
		last = Add(last, GoodRun{Seconds: float64(i + 1), Peak: int64(i+1) * 1000, Output: int64(i+1) * 10, Silence: 1})
	}
	got := Of(last) // 11 … 30
	if got.Runs != MaxRuns || got.DurationSeconds != (job.Percentiles{P50: 20, P95: 29}) ||
		got.PeakMemoryBytes.P95 != 29000 || got.OutputBytesPerSecond.P50 != 10 || got.LongestSilenceSeconds.P50 != 1 {
		t.Errorf("expected %+v", got)
	}
	if f, ok := GoodRunOf(job.Run{State: job.Succeeded}); ok {
		t.Errorf("a run without times has figures: %+v", f)
	}
	at := time.Unix(1800000000, 0)
	if f, ok := GoodRunOf(job.Run{State: job.Succeeded, StartedAt: &at, EndedAt: &at}); ok {
		t.Errorf("a run that was reported only when it had ended has figures: %+v", f)
	}
}

// Peaks that older servers learned counted the cache of files: only what was learned since
// makes the band of memory.
func TestMemoryIsLearnedAnew(t *testing.T) {
	var last []GoodRun
	if err := json.Unmarshal([]byte(`[{"seconds":1,"peak":9000},{"seconds":2,"peak":9000},{"seconds":3,"peak":9000}]`), &last); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		got := Of(last)
		if got.Runs != 3+i || got.DurationSeconds.P50 != 2 {
			t.Fatalf("with %d new runs, expected %+v", i, got)
		}
		want := job.Percentiles{}
		if i >= MinRuns {
			want = job.Percentiles{P50: 20, P95: 30}
		}
		if got.PeakMemoryBytes != want {
			t.Errorf("with %d new runs, memory %+v, want %+v", i, got.PeakMemoryBytes, want)
		}
		text, err := json.Marshal(Add(last, GoodRun{Seconds: 2, Peak: int64(i+1) * 10}))
		last = nil
		if err := errors.Join(err, json.Unmarshal(text, &last)); err != nil {
			t.Fatal(err)
		}
	}
}
