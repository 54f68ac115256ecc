package children

import (
	"testing"

	"stint.dev/stint/internal/agent/process/procfs"
)

// A dead child in our own process group is left to the code that started it, and reaped when nothing else
// does.
func TestAbandonedChild(t *testing.T) {
	r := registry{}
	s := procfs.Stat{PID: 7, StartedTicks: 70}
	if r.abandoned(&s) {
		t.Error("taken at once")
	}
	z := r.zombies[7]
	z.seen = z.seen.Add(-abandonedAfter)
	r.zombies[7] = z
	if again := (procfs.Stat{PID: 7, StartedTicks: 71}); r.abandoned(&again) {
		t.Error("another process with the same number was taken at once")
	}
	z.startedTicks = 71
	r.zombies[7] = z
	if again := (procfs.Stat{PID: 7, StartedTicks: 71}); !r.abandoned(&again) {
		t.Error("never taken")
	}
}
