package queue

import (
	"testing"
	"time"
)

func TestWorkersOfAWaitingRun(t *testing.T) {
	gpu := map[string]string{"gpu": "true"}
	known := func(labels map[string]string, until time.Duration, drained bool) KnownWorker {
		return KnownWorker{Worker: Worker{Labels: labels, Specs: []int{1}, Slots: 1}, LeaseEnd: noon.Add(until), Drained: drained}
	}
	for name, c := range map[string]struct {
		workers        []KnownWorker
		live, matching int
		until          time.Duration // after noon; -1 for none
	}{
		"none":           {nil, 0, 0, -1},
		"another one":    {[]KnownWorker{known(nil, time.Minute, false)}, 1, 0, -1},
		"alive":          {[]KnownWorker{known(gpu, time.Minute, false)}, 1, 1, time.Minute},
		"gone":           {[]KnownWorker{known(gpu, -time.Minute, false)}, 0, 0, -time.Minute},
		"drained":        {[]KnownWorker{known(gpu, time.Minute, true)}, 0, 0, time.Minute},
		"the last one":   {[]KnownWorker{known(gpu, -time.Hour, false), known(gpu, -time.Minute, false), known(nil, time.Minute, false)}, 1, 0, -time.Minute},
		"a clock before": {[]KnownWorker{known(gpu, 24*time.Hour, false)}, 0, 0, -1},
	} {
		w := WaitingRun{Job: "train", Selector: Selector{Requires: gpu, Spec: 1}}
		w.SetWorkers(c.workers, noon)
		if w.Supply.Workers != c.live || w.Supply.Matching != c.matching {
			t.Errorf("%s: %+v", name, w.Supply)
		}
		if c.until == -1 && !w.AbleUntil.IsZero() || c.until != -1 && !w.AbleUntil.Equal(noon.Add(c.until)) {
			t.Errorf("%s: until %s", name, w.AbleUntil)
		}
	}
}
