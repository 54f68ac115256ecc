package spool

import (
	"errors"
	"testing"

	"stint.dev/stint/internal/agent/spool/room"
	"stint.dev/stint/internal/agent/spool/segment"
	"stint.dev/stint/job"
)

// The ends of steps have room in memory however much the steps printed, and all steps together
// keep within the bound.
func TestEndOfStepsInMemory(t *testing.T) {
	m := &model{t: t, printed: map[segment.Stream][]byte{}, disk: &conditions{volatile: map[string]bool{}}, limits: Limits{Memory: 8 << 20}}
	m.j = InMemory(meta, m.limits, errors.New("there is no disk"))
	identify(t, m.j)
	for range 4 {
		for range 200 { // 12 MB
			m.print(job.Stdout, 60_000)
		}
		m.j.mu.Lock()
		held := m.j.placed.Memory + m.j.tail.Memory
		m.j.mu.Unlock()
		if most := m.limits.Memory + room.WindowLimit + room.SampleLimit + int64(m.step+1)*room.TailLimit; held > most {
			t.Errorf("step %d: %d bytes are held in memory, more than %d", m.step, held, most)
		}
		m.endStep()
	}
	m.check()
	if m.missing == 0 {
		t.Error("nothing was dropped: the test shows nothing")
	}
}
