package rules

import (
	"slices"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Past is the stored data of a run.
type Past struct {
	Run     job.Run
	Limits  index.Limits
	Samples []job.Sample // in the order of time
	Printed []time.Time  // when output arrived, in order
}

// Replay returns the findings that a policy would have raised in a run, of each rule the first one. Each
// stored sample counts as a heartbeat without delay, so that the rules about the connection to the server
// (quiet, spool, clock_skew) and about the agent's timers cannot be replayed.
func Replay(past Past, p policy.Policy) []api.ReplayFinding {
	r := past.Run
	if r.StartedAt == nil {
		return nil
	}
	l := lease.Lease{
		Run: r.ID, Attempt: r.Attempt, Job: r.Job, State: job.Running, Health: job.Healthy, ReportedAt: *r.StartedAt, EveryPeriod: DefaultPeriod,
		Evidence: lease.BeginEvidence(past.Limits, r.Expected, *r.StartedAt),
	}
	var out []api.ReplayFinding
	judge := func(at time.Time) {
		l.ReportedAt, l.ExpiresAt = at, at.Add(time.Hour)
		v, _ := Judge(l, at, Circumstances{Since: at}, p)
		for _, f := range v.Findings {
			if !slices.ContainsFunc(out, func(had api.ReplayFinding) bool { return had.Rule == f.Rule }) {
				out = append(out, api.ReplayFinding{Run: r.ID, Rule: f.Rule, At: at, Sentence: f.Evidence})
			}
		}
		l.Findings, l.Health = v.Findings, v.Health
	}
	printed := past.Printed
	for i, s := range past.Samples {
		for len(printed) > 1 && !printed[1].After(s.At) {
			printed = printed[1:]
		}
		l.Evidence = l.Evidence.Observe(asHeartbeat(i, s, past.Samples, printed, *r.StartedAt), s.At, "")
		judge(s.At)
	}
	if r.EndedAt != nil && len(past.Samples) == 0 {
		judge(*r.EndedAt)
	}
	return out
}

// asHeartbeat returns the heartbeat for a sample.
func asHeartbeat(i int, s job.Sample, all []job.Sample, printed []time.Time, began time.Time) job.Heartbeat {
	hb := job.Heartbeat{
		Sequence: int64(i + 1), SentAt: s.At, UptimeMS: max(s.At.Sub(began).Milliseconds(), 1), OutputAgeMS: -1,
		CPUSeconds: s.CPUSeconds, MemoryBytes: s.MemoryBytes, Processes: s.Processes, ReadBytes: s.ReadBytes, WrittenBytes: s.WriteBytes,
		MemoryLimitBytes: s.LimitBytes, Pressure: s.Pressure, PeriodMS: DefaultPeriod.Milliseconds(),
	}
	if i > 0 {
		hb.PeriodMS = max(s.At.Sub(all[i-1].At).Milliseconds(), 1)
	}
	if len(printed) > 0 && !printed[0].After(s.At) {
		hb.OutputAgeMS = s.At.Sub(printed[0]).Milliseconds()
	}
	return hb
}
