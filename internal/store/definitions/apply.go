package definitions

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/schedules"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// ApplyDefinitions sets definitions, with the policies that they bring, in one transaction: all, or none with
// a *definition.ConflictError. The results are in the order of jobs.
func (s *Definitions) ApplyDefinitions(ctx context.Context, set definition.Set) (results []definition.Result, err error) {
	set.New = slices.SortedFunc(slices.Values(set.New), func(a, b definition.New) int { return strings.Compare(a.Job, b.Job) })
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		one := applying{Set: set, t: t}
		if err := one.judge(ctx); err != nil {
			return err
		}
		results = one.results
		if len(one.conflicts) > 0 {
			return &definition.ConflictError{All: one.conflicts}
		}
		if set.DryRun {
			return nil
		}
		return one.write(ctx)
	})
	if err != nil {
		return nil, err
	}
	return results, nil
}

// applying is a set that is being applied in a transaction.
type applying struct {
	definition.Set
	t         *db.Tx
	before    []*definition.Applied // of each of New; nil for none
	pruned    []definition.Applied
	results   []definition.Result
	conflicts []string
}

func (a *applying) conflict(format string, args ...any) {
	a.conflicts = append(a.conflicts, fmt.Sprintf(format, args...))
}

// judge finds out what would become of every definition, and what is against it.
func (a *applying) judge(ctx context.Context) error {
	for _, n := range a.New {
		before, err := find(ctx, a.t, n.Job, a.t.Dialect.Lock)
		var none *query.NotFoundError
		switch {
		case errors.As(err, &none):
			a.before = append(a.before, nil)
		case err != nil:
			return err
		default:
			a.before = append(a.before, &before)
		}
		overwrites := a.overwrites(n, a.before[len(a.before)-1])
		policy, err := a.judgePolicy(ctx, n, a.before[len(a.before)-1])
		if err != nil {
			return err
		}
		a.result(n, a.before[len(a.before)-1], append(overwrites, policy...))
	}
	if a.Prune {
		return a.judgePrune(ctx)
	}
	return nil
}

func (a *applying) result(n definition.New, before *definition.Applied, overwrites []string) {
	r := definition.Result{Job: n.Job, Result: api.ApplyCreated, Version: n.Version}
	if before != nil {
		r.Result = api.ApplyUpdated
		if before.Version == n.Version {
			r.Result = api.ApplyUnchanged
		}
		r.Before = definition.Version{Hash: before.Version, Canonical: before.Canonical, YAML: before.YAML}
	}
	r.Overwrites = strings.Join(overwrites, "; ")
	if !a.Force {
		for _, what := range overwrites {
			a.conflict("job %s %s: --force overwrites that", job.Quote(n.Job), what)
		}
	}
	a.results = append(a.results, r)
}

// overwrites are changes of somebody else that a definition would undo.
func (a *applying) overwrites(n definition.New, before *definition.Applied) (what []string) {
	if a.Edit {
		current := ""
		if before != nil {
			current = before.Version
		}
		if current != a.Base && current != n.Version {
			what = append(what, "was changed since it was opened here"+by(before))
		}
		return what
	}
	if before == nil {
		return nil
	}
	if before.EditedAt != nil && before.Version != n.Version {
		what = append(what, fmt.Sprintf("was edited on the page at %s by %s", before.EditedAt.Format("2006-01-02 15:04 MST"), nameOf(before.EditedBy)))
	}
	if before.Source != "" && a.Source != "" && before.Source != a.Source {
		what = append(what, "belongs to the source "+job.Quote(before.Source))
	}
	return what
}

func by(a *definition.Applied) string {
	switch {
	case a == nil:
		return ""
	case a.EditedBy != "":
		return " by " + a.EditedBy
	case a.AppliedBy != "":
		return " by " + a.AppliedBy
	}
	return ""
}

func nameOf(who string) string {
	if who == "" {
		return "somebody without a login"
	}
	return who
}

// judgePrune finds the definitions of the source that are not in the set.
func (a *applying) judgePrune(ctx context.Context) error {
	names, err := db.QueryTexts(ctx, a.t, `SELECT job FROM definitions WHERE source = $1 ORDER BY job`, a.Source)
	if err != nil {
		return fmt.Errorf("list the definitions of source %s: %w", job.Quote(a.Source), err)
	}
	for _, name := range names {
		if slices.ContainsFunc(a.New, func(n definition.New) bool { return n.Job == name }) {
			continue
		}
		old, err := find(ctx, a.t, name, a.t.Dialect.Lock)
		if err != nil {
			return err
		}
		a.pruned = append(a.pruned, old)
		r := definition.Result{Job: name, Result: api.ApplyDeleted, Before: definition.Version{Hash: old.Version, Canonical: old.Canonical, YAML: old.YAML}}
		if old.EditedAt != nil {
			r.Overwrites = "was edited on the page by " + nameOf(old.EditedBy)
			if !a.Force {
				a.conflict("job %s %s: --force deletes it all the same", job.Quote(name), r.Overwrites)
			}
		}
		a.results = append(a.results, r)
	}
	if 2*len(a.pruned) > len(names) && !a.Yes {
		a.conflict("%d of the %d definitions of source %s would be deleted, which is more than half: --yes deletes them", len(a.pruned), len(names), job.Quote(a.Source))
	}
	slices.SortStableFunc(a.results, func(x, y definition.Result) int { return strings.Compare(x.Job, y.Job) })
	return nil
}

// write stores what was judged.
func (a *applying) write(ctx context.Context) error {
	for i, n := range a.New {
		before := a.before[i]
		if err := a.writeVersion(ctx, n, before); err != nil {
			return err
		}
		if err := a.writeDefinition(ctx, n, before); err != nil {
			return err
		}
		if err := a.writePolicy(ctx, n, before); err != nil {
			return err
		}
		if err := a.writeSchedules(ctx, n, before); err != nil {
			return err
		}
	}
	for _, old := range a.pruned {
		if err := deleteOne(ctx, a.t, old); err != nil {
			return err
		}
	}
	return nil
}

func (a *applying) sourceOf(before *definition.Applied) string {
	if a.Source == "" && before != nil {
		return before.Source
	}
	return a.Source
}

func (a *applying) writeVersion(ctx context.Context, n definition.New, before *definition.Applied) error {
	if before != nil && before.Version == n.Version {
		return nil
	}
	_, err := a.t.ExecContext(ctx, `INSERT INTO definition_versions (job, hash, yaml, canonical, source, first_at, applied_at, applied_by)
		VALUES ($1, $2, $3, $4, $5, $6, $6, $7)
		ON CONFLICT (job, hash) DO UPDATE SET yaml = $3, source = $5, applied_at = $6, applied_by = $7`,
		n.Job, n.Version, n.YAML, string(n.Canonical), a.sourceOf(before), db.Micros(a.At), index.CleanText(a.By, 200))
	if err != nil {
		return fmt.Errorf("store a version of job %s: %w", job.Quote(n.Job), err)
	}
	return nil
}

// writeSchedules stores when the job is started.
func (a *applying) writeSchedules(ctx context.Context, n definition.New, before *definition.Applied) error {
	if before != nil && before.Version == n.Version {
		return nil
	}
	d, err := definition.FromCanonical(n.Canonical)
	if err != nil {
		return err
	}
	return schedules.Apply(ctx, a.t, d)
}

func (a *applying) writeDefinition(ctx context.Context, n definition.New, before *definition.Applied) error {
	source, who, at := a.sourceOf(before), index.CleanText(a.By, 200), db.Micros(a.At)
	var edited sql.NullInt64
	editor := ""
	if a.Edit {
		edited, editor = db.NotNull(at), who
	}
	if before == nil {
		res, err := a.t.ExecContext(ctx, `INSERT INTO definitions (job, version, source, yaml, applied_at, applied_by, edited_at, edited_by)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (job) DO NOTHING`, n.Job, n.Version, source, n.YAML, at, who, edited, editor)
		if err := db.RequireRow(res, err); err != nil { // another server may have been first
			return fmt.Errorf("store the definition of job %s: %w", job.Quote(n.Job), err)
		}
		return nil
	}
	same := before.YAML == n.YAML && before.Source == source
	if same && (a.Edit || before.EditedAt == nil) && before.Version == n.Version {
		return nil
	}
	statement := `UPDATE definitions SET version = $2, source = $3, yaml = $4, edited_at = $5, edited_by = $6, applied_at = $7, applied_by = $8 WHERE job = $1`
	args := []any{n.Job, n.Version, source, n.YAML, edited, editor, at, who}
	if a.Edit { // by whom it was applied stays
		statement, args = `UPDATE definitions SET version = $2, source = $3, yaml = $4, edited_at = $5, edited_by = $6 WHERE job = $1`, args[:6]
	}
	if _, err := a.t.ExecContext(ctx, statement, args...); err != nil {
		return fmt.Errorf("store the definition of job %s: %w", job.Quote(n.Job), err)
	}
	return nil
}
