package logs

import (
	"testing"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/logs/logstest"
	"stint.dev/stint/job"
)

func TestBlockBefore(t *testing.T) {
	m := &logstest.Blocks{Heads: []index.BlockHead{{Start: 16, Size: 10}, {Start: 26, Size: 4}, {Start: 1000, Size: 50}, {Start: 1050, Size: 1}}}
	for at, want := range map[int64]int64{1050: 1000, 1000: 26, 26: 16, 16: 0, 500: 26} {
		head, ok, err := BlockBefore(t.Context(), m, job.Run{}, at)
		if err != nil || ok != (want > 0) || ok && head.Start != want {
			t.Errorf("before %d: %+v %v %v, want %d", at, head, ok, err, want)
		}
	}
}
