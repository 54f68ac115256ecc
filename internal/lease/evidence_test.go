package lease

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fakeAgent sends heartbeats, five seconds apart, that change only what a test says.
type fakeAgent struct {
	e  Evidence
	hb job.Heartbeat
	at time.Time
}

func newFakeAgent() *fakeAgent {
	t := &fakeAgent{
		e:  BeginEvidence(index.Limits{}, nil, noon),
		hb: job.Heartbeat{PeriodMS: 5000, Processes: 1, MemoryBytes: 1 << 20, OutputAgeMS: -1, CPUSeconds: 1},
		at: noon,
	}
	t.beat(nil)
	return t
}

func (t *fakeAgent) beat(change func(*job.Heartbeat)) {
	if change != nil {
		change(&t.hb)
	}
	t.hb.Sequence++
	t.hb.UptimeMS += 5000
	t.hb.SentAt = t.at
	if t.hb.OutputAgeMS >= 0 {
		t.hb.OutputAgeMS += 5000
	}
	t.e = t.e.Observe(t.hb, t.at, "")
	t.at = t.at.Add(5 * time.Second)
}

func (t *fakeAgent) times(n int, change func(*job.Heartbeat)) {
	for range n {
		t.beat(change)
	}
}

func TestEvidenceOfProgress(t *testing.T) {
	for _, c := range []struct {
		name  string
		moves bool
		step  func(*job.Heartbeat)
	}{
		{"nothing", false, nil},
		{"CPU that only timers use", false, func(h *job.Heartbeat) { h.CPUSeconds += 0.04 }},
		{"CPU", true, func(h *job.Heartbeat) { h.CPUSeconds += 0.2 }},
		{"a little IO", false, func(h *job.Heartbeat) { h.ReadBytes += 100 }},
		{"IO", true, func(h *job.Heartbeat) { h.WrittenBytes += 1 << 20 }},
		{"output", true, func(h *job.Heartbeat) { h.OutputAgeMS = 0 }},
		{"nothing can be measured", true, func(h *job.Heartbeat) { h.Processes, h.MemoryBytes = 0, 0 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			agent := newFakeAgent()
			agent.times(100, c.step)
			if idle := agent.e.At.Sub(agent.e.MovedAt); (idle < 10*time.Second) != c.moves {
				t.Errorf("idle for %s", idle)
			}
		})
	}
}

func TestTimeWithoutHeartbeatsIsNotIdle(t *testing.T) {
	agent := newFakeAgent()
	agent.times(12, nil)
	before := agent.e.At.Sub(agent.e.MovedAt)
	agent.at = agent.at.Add(10 * time.Hour) // the server was away
	agent.beat(nil)
	if idle := agent.e.At.Sub(agent.e.MovedAt); idle > before+20*time.Second {
		t.Errorf("idle for %s, before the break %s", idle, before)
	}
}

// The time in which job and agent were stopped is not idle, however the heartbeats lie.
func TestSuspendedTimeIsNotIdle(t *testing.T) {
	agent := newFakeAgent()
	agent.beat(func(h *job.Heartbeat) { h.OutputAgeMS = 0 })
	agent.times(12, nil)
	agent.beat(func(h *job.Heartbeat) { h.Suspended = true })
	stopped := agent.at
	agent.at = agent.at.Add(time.Hour)
	agent.beat(func(h *job.Heartbeat) { h.Suspended, h.OutputAgeMS = false, h.OutputAgeMS+3600_000 })
	if idle := agent.e.At.Sub(agent.e.MovedAt); idle > 0 || !agent.e.ResumedAt.Equal(stopped.Add(time.Hour)) {
		t.Errorf("idle for %s, resumed at %s", idle, agent.e.ResumedAt)
	}
	agent.times(12, nil)
	if idle := agent.e.At.Sub(agent.e.MovedAt); idle != time.Minute {
		t.Errorf("idle for %s a minute after it was resumed", idle)
	}
}

func TestBeginIsCountedOnTheServersClock(t *testing.T) {
	e := BeginEvidence(index.Limits{}, nil, noon)
	e = e.Observe(job.Heartbeat{Sequence: 1, UptimeMS: 3600_000, SentAt: noon.Add(-48 * time.Hour)}, noon, "")
	if !e.BegunAt.Equal(noon.Add(-time.Hour)) {
		t.Errorf("began at %s", e.BegunAt)
	}
}

func TestBareSignsOfLifeTellNothing(t *testing.T) {
	e := BeginEvidence(index.Limits{}, nil, noon)
	if got := e.Observe(job.Heartbeat{}, noon.Add(time.Hour), ""); !got.At.IsZero() {
		t.Errorf("evidence %+v", got)
	}
}

func TestBacklogBeginsAndEnds(t *testing.T) {
	agent := newFakeAgent()
	agent.times(3, func(h *job.Heartbeat) { h.UnsentBytes = Backlog })
	if since := agent.e.UnsentSince; !since.Equal(noon.Add(5 * time.Second)) {
		t.Errorf("since %s", since)
	}
	agent.beat(func(h *job.Heartbeat) { h.UnsentBytes = Backlog - 1 })
	if !agent.e.UnsentSince.IsZero() {
		t.Error("the backlog did not end")
	}
}

// What is remembered stays bounded and in order, with the first and the newest point of
// the window in it.
func TestMemoryPointsAreBounded(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		at, points := noon, []MemoryPoint(nil)
		for range rapid.IntRange(1, 500).Draw(rt, "beats") {
			at = at.Add(time.Duration(rapid.IntRange(1, 120).Draw(rt, "gap")) * time.Second)
			points = addPoint(points, MemoryPoint{At: at, Bytes: 1})
			if len(points) > maxPoints || !points[len(points)-1].At.Equal(at) || at.Sub(points[0].At) > memoryWindow {
				rt.Fatalf("points %v", points)
			}
			for i := 1; i < len(points); i++ {
				if !points[i-1].At.Before(points[i].At) {
					rt.Fatalf("out of order: %v", points)
				}
			}
		}
	})
}
