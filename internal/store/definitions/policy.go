package definitions

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/outbox"
	"stint.dev/stint/job"
)

// policyOf is the policy that a definition has brought; empty for none.
func policyOf(a *definition.Applied) (string, error) {
	if a == nil {
		return "", nil
	}
	d, err := definition.FromCanonical(a.Canonical)
	if err != nil {
		return "", fmt.Errorf("read the definition of job %s: %w", job.Quote(a.Job), err)
	}
	return d.PolicyText(), nil
}

// storedPolicy is the policy that holds for a job now; both empty for the default.
func storedPolicy(ctx context.Context, t *db.Tx, name string) (text, by string, actions outbox.EndActions, err error) {
	var encoded []byte
	err = t.QueryRowContext(ctx, `SELECT yaml, set_by, actions FROM job_policies WHERE job = $1`+t.Dialect.Lock, name).Scan(&text, &by, &encoded)
	if errors.Is(err, sql.ErrNoRows) {
		return "", "", nil, nil
	}
	if err != nil {
		return "", "", nil, fmt.Errorf("read the policy of job %s: %w", job.Quote(name), err)
	}
	if json.Unmarshal(encoded, &actions) != nil {
		actions = nil // what cannot be read retries nothing
	}
	return text, by, actions, nil
}

// judgePolicy are the changes of the policy by somebody else that a definition would undo. A policy
// that stays must not ask for retries.
func (a *applying) judgePolicy(ctx context.Context, n definition.New, before *definition.Applied) ([]string, error) {
	brought, err := policyOf(before)
	if err != nil {
		return nil, err
	}
	text, who, actions, err := storedPolicy(ctx, a.t, n.Job)
	if err != nil {
		return nil, err
	}
	switch {
	case n.Policy == "" && brought == "":
		if actions.Retry() {
			a.conflict("the policy of job %s has retry, and a job with a definition is tried again by its retries: set the policy without retry first", job.Quote(n.Job))
		}
		return nil, nil
	case text == brought, text == n.Policy:
		return nil, nil
	case text == "":
		return []string{"had its policy deleted since"}, nil
	}
	return []string{"has a policy that was set by " + nameOf(who)}, nil
}

// writePolicy sets the policy that a definition brings, and deletes the one that it brought before.
func (a *applying) writePolicy(ctx context.Context, n definition.New, before *definition.Applied) error {
	if n.Policy == "" {
		if before == nil {
			return nil
		}
		return deletePolicy(ctx, a.t, *before)
	}
	_, err := a.t.ExecContext(ctx, `INSERT INTO job_policies (job, yaml, actions, set_at, set_by) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (job) DO UPDATE SET yaml = excluded.yaml, actions = excluded.actions, set_at = excluded.set_at, set_by = excluded.set_by
		WHERE job_policies.yaml <> excluded.yaml`,
		n.Job, n.Policy, string(n.Actions), db.Micros(a.At), index.CleanText(a.By, 200))
	if err != nil {
		return fmt.Errorf("store the policy of job %s: %w", job.Quote(n.Job), err)
	}
	return nil
}

// deletePolicy deletes the policy that a definition has brought.
func deletePolicy(ctx context.Context, t *db.Tx, old definition.Applied) error {
	brought, err := policyOf(&old)
	if err != nil || brought == "" {
		return err
	}
	if _, err := t.ExecContext(ctx, `DELETE FROM job_policies WHERE job = $1`, old.Job); err != nil {
		return fmt.Errorf("delete the policy of job %s: %w", job.Quote(old.Job), err)
	}
	return nil
}
