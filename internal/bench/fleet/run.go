package fleet

import (
	"fmt"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// RunID is the id of the n-th run of a benchmark, begun at a time.
func RunID(at time.Time, n int) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", ms>>16, ms&0xffff, n)
}

// Beginning is the journal of an attempt whose command has just started.
func Beginning(id string, n int, at time.Time, period time.Duration) []byte {
	b := journal.AppendHeader(nil)
	for _, r := range []struct {
		t journal.Type
		v any
	}{
		{journal.TypeAttempt, journal.Attempt{
			Run: id, Attempt: 1, Job: fmt.Sprintf("load-%d", n%200), Args: []string{"python", "train.py", fmt.Sprint(n)},
			Host: fmt.Sprintf("node-%d", n%500), AgentVersion: "bench", HeartbeatPeriodMS: period.Milliseconds(),
		}},
		{journal.TypeStepStarted, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "python train.py", PID: 1}},
	} {
		rec, err := journal.JSONRecord(r.t, at, r.v)
		if err != nil {
			panic(err) // these values can be encoded
		}
		b = journal.AppendRecord(b, rec)
	}
	return b
}

// Heartbeat is what an agent sends.
func Heartbeat(sequence int, period time.Duration) []byte {
	return fmt.Appendf(nil, `{"sequence":%d,"sent_at":%q,"uptime_ms":%d,"scheduling_delay_ms":0,"output_age_ms":420,"cpu_seconds":%d.25,"memory_bytes":123456789,"processes":4,"unsent_bytes":0,"period_ms":%d}`,
		sequence, time.Now().UTC().Format(time.RFC3339Nano), int64(sequence)*period.Milliseconds(), sequence, period.Milliseconds())
}
