// Package fill fills databases before the servers that are measured start.
package fill

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Runs stores n runs that have ended, as agents would have brought them, one each half a minute until now.
func Runs(ctx context.Context, o store.Options, n int) (err error) {
	db, err := store.Open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	const group = 500
	first := time.Now().Add(-time.Duration(n) * 30 * time.Second)
	for begun := 0; begun < n; begun += group {
		var appends []index.Append
		for i := begun; i < min(begun+group, n); i++ {
			at := first.Add(time.Duration(i) * 30 * time.Second)
			appends = append(appends, index.Append{Run: fleet.RunID(at, i), Attempt: 1, Data: finished(i, at), At: at.Add(time.Minute)})
		}
		done, _, err := db.Ingest(ctx, appends, nil)
		if err != nil {
			return err
		}
		for _, d := range done {
			if d.Err != nil {
				return d.Err
			}
		}
	}
	return nil
}

// finished is the whole journal of a run that has ended.
func finished(n int, at time.Time) []byte {
	var b bytes.Buffer
	code := 0
	if n%12 == 0 {
		code = 1
	}
	labels := map[string]string{"team": fmt.Sprintf("team-%d", n%20), "env": []string{"production", "staging"}[n%2]}
	if n%100_000 == 77 {
		labels["ticket"] = "T-77"
	}
	outcome := job.Classify(job.Ending{Step: "command", Kind: job.CommandStep, ExitCode: code})
	w, err := journal.NewWriter(&b)
	for _, r := range []struct {
		t journal.Type
		v any
	}{
		{journal.TypeAttempt, journal.Attempt{
			Run: fleet.RunID(at, n), Attempt: 1, Job: fmt.Sprintf("load-%d", n%200), Args: []string{"python", "report.py", fmt.Sprintf("chapter-%d", n%1000)},
			Host: fmt.Sprintf("node-%d", n%500), AgentVersion: "bench", HeartbeatPeriodMS: 5000, Labels: labels,
		}},
		{journal.TypeStepStarted, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "python report.py", PID: 1}},
		{journal.TypeStepEnded, journal.StepEnded{Outcome: outcome}},
	} {
		err = errors.Join(err, w.AppendJSON(r.t, at, r.v))
	}
	err = errors.Join(err, w.Finish(at.Add(20*time.Second), journal.Final{Outcome: outcome, Usage: job.Usage{CPUSeconds: 12, PeakMemoryBytes: 300 << 20}}))
	if err != nil {
		panic(err) // a buffer takes everything, and these values can be encoded
	}
	return b.Bytes()
}
