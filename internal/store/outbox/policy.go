package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/job"
)

// EndActions is the part of a policy that applies when a run ends, by state, or when a finding ends with a start, or a job was missed, by
// the rule.
type EndActions map[string]struct {
	Notify         bool       `json:"notify"`
	Severity       job.Health `json:"severity"`
	Retry          int        `json:"retry"`
	BackoffSeconds float64    `json:"backoff_seconds"`
}

// Retry reports whether an end is followed by another attempt.
func (a EndActions) Retry() bool {
	for _, action := range a {
		if action.Retry > 0 {
			return true
		}
	}
	return false
}

// ApplyPolicy changes the entries of an end, or of the finding missed, by the policy of the job: whether people are notified, with
// which severity, and whether another attempt follows. A policy that cannot be read changes nothing,
// because otherwise no run of the job could end; Policies reports it.
func ApplyPolicy(ctx context.Context, t *db.Tx, name string, entries []outbox.Entry) ([]outbox.Entry, error) {
	if len(entries) == 0 {
		return nil, nil
	}
	var text []byte
	err := t.QueryRowContext(ctx, `SELECT actions FROM job_policies WHERE job = $1`, name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return entries, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the policy of job %s: %w", job.Quote(name), err)
	}
	actions := EndActions{}
	if json.Unmarshal(text, &actions) != nil {
		return entries, nil
	}
	return applyActions(entries, actions), nil
}

func applyActions(entries []outbox.Entry, actions EndActions) []outbox.Entry {
	var out []outbox.Entry
	for _, e := range entries {
		if e.What == outbox.WhatRecovered && e.Ends != "" { // it is a word about the finding
			finding, given := actions[e.Ends]
			if finding.Severity != "" {
				e.Severity = finding.Severity
			}
			if !given || finding.Notify {
				out = append(out, e)
			}
			continue
		}
		a, given := actions[e.What]
		if e.Kind != outbox.Notify || !given {
			out = append(out, e)
			continue
		}
		if a.Severity != "" && e.Severity != outbox.Info {
			e.Severity = a.Severity
		}
		if a.Notify {
			out = append(out, e)
		}
		if a.Retry > 0 && e.Attempt <= a.Retry { // of a job without runs there is no attempt
			e.Kind, e.Severity, e.Ends, e.By = outbox.Retry, "", "", job.PolicyAuthor
			e.After = e.At.Add(time.Duration(a.BackoffSeconds * float64(time.Second)))
			out = append(out, e)
		}
	}
	return out
}
