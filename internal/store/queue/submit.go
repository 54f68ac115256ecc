package queue

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	rules "stint.dev/stint/internal/queue"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

// Submit adds a run to the queue, in one transaction. The same request again returns the same run, and
// created is false. author says that the caller may submit commands without a definition. The error is
// *job.InvalidError or *definition.ValuesError for a bad request, *query.NotFoundError for a job
// without a definition or another run that is not there, *rules.ConflictError for an id that another
// request has, *rules.AuthorError, or *rules.FullError.
func (s *Queue) Submit(ctx context.Context, run string, r job.SubmitRequest, by string, author bool) (stored job.Run, created bool, err error) {
	if err := rules.Check(run, r); err != nil {
		return job.Run{}, false, err
	}
	if r.Command != nil && !author {
		return job.Run{}, false, &rules.AuthorError{}
	}
	digest, err := rules.Digest(r)
	if err != nil {
		return job.Run{}, false, err
	}
	err = s.Write(ctx, db.None, func(t *db.Tx) error {
		stored, created, err = s.submit(ctx, &submitting{SubmitRequest: r, t: t, id: run, by: by, digest: digest, now: db.FromMicros(db.Micros(t.Now()))})
		return err
	})
	if err != nil {
		return job.Run{}, false, err
	}
	return s.ForReader(stored), created, nil
}

// submit stores a request in its transaction. created is false if the same request has made the run before. A request
// that is refused has written nothing.
func (s *Queue) submit(ctx context.Context, one *submitting) (stored job.Run, created bool, err error) {
	stored, again, err := one.before(ctx)
	if err != nil || again {
		return stored, false, err
	}
	if err := s.checkRoom(ctx, one.t, one.Job, nil); err != nil {
		return job.Run{}, false, err
	}
	if err := one.prepare(ctx); err != nil {
		return job.Run{}, false, err
	}
	all := []*submitting{one}
	if err := s.insert(ctx, one.t, all); err != nil {
		return job.Run{}, false, err
	}
	return one.row.Run, true, nil
}

// submitting is a request in its transaction.
type submitting struct {
	job.SubmitRequest
	t              *db.Tx
	id, by, digest string
	now            time.Time
	spec           job.Spec
	values         map[string]string
	version        string // hash of the definition
	within         time.Duration
	of             *rules.Occurrence // nil for a request
	held           string

	// What prepare finds.
	selector rules.Selector
	after    []job.Dependency // that are not met
	row      tables.RunRow
	done     *Submitted // of an occurrence
}

// before returns the run that the same request has made.
func (s *submitting) before(ctx context.Context) (job.Run, bool, error) {
	row, err := tables.LockRun(ctx, s.t, s.id)
	var deleted *query.DeletedRunError
	var none *query.NotFoundError
	if errors.As(err, &none) && !errors.As(err, &deleted) {
		return job.Run{}, false, nil
	}
	if err != nil {
		return job.Run{}, false, err
	}
	var digest string
	err = s.t.QueryRowContext(ctx, `SELECT request FROM submissions WHERE run_id = $1`, s.id).Scan(&digest)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return job.Run{}, false, &rules.ConflictError{Why: fmt.Sprintf("run %s was not submitted: it was started by hand as %s#%d", s.id, row.Run.Job, row.Run.Number)}
	case err != nil:
		return job.Run{}, false, fmt.Errorf("read the submission of run %s: %w", s.id, err)
	case digest != s.digest:
		return job.Run{}, false, &rules.ConflictError{Why: fmt.Sprintf("run %s was submitted by another request, as %s#%d: use another id or key", s.id, row.Run.Job, row.Run.Number)}
	}
	return row.Run, true, nil
}

// prepare finds everything that is stored of a request, or why it is refused.
func (s *submitting) prepare(ctx context.Context) (err error) {
	if s.selector, err = s.resolve(ctx); err != nil {
		return err
	}
	if err := s.checkOverlap(ctx); err != nil {
		return err
	}
	s.after, err = s.dependencies(ctx)
	return err
}

// insert makes runs, their submissions and their entries in the queue.
func (s *Queue) insert(ctx context.Context, t *db.Tx, all []*submitting) error {
	var rows []*tables.RunRow
	for _, one := range all {
		one.row = one.newRow()
		rows = append(rows, &one.row)
	}
	if err := tables.InsertQueued(ctx, t, rows); err != nil {
		return err
	}
	var ids, jobs, definitions, digests, selectors, groups, specs []string
	var weights []int64
	var entries []joining
	for _, one := range all {
		text, err := one.selector.Text()
		spec, serr := json.Marshal(one.spec)
		if err := errors.Join(err, serr); err != nil {
			return fmt.Errorf("encode the spec of run %s, and what it requires: %w", one.id, err)
		}
		ids, jobs, definitions, digests = append(ids, one.id), append(jobs, one.Job), append(definitions, one.version), append(digests, one.digest)
		selectors, groups, specs, weights = append(selectors, text), append(groups, one.Group), append(specs, string(spec)), append(weights, one.Priority.Weight())
		entries = append(entries, joining{
			Entry: Entry{
				Run: one.id, Attempt: 1, NotBefore: one.NotBefore, StartBy: one.row.Run.Submitted.StartBy, Held: one.held,
				Job: one.Job, Definition: one.version, Group: one.Group, Weight: one.Priority.Weight(),
			},
			selector: text, after: one.after,
		})
	}
	table, args := t.Dialect.Table(1, db.Column{Texts: ids}, db.Column{Texts: jobs}, db.Column{Texts: definitions}, db.Column{Texts: digests}, db.Column{Texts: selectors},
		db.Column{Texts: groups}, db.Column{Numbers: weights}, db.Column{Texts: specs})
	err := t.Queue(ctx, db.Statement{What: fmt.Sprintf("store %d submissions", len(all)), Args: args, Query: `INSERT INTO submissions (run_id, job, definition, request, selector, group_name, weight, spec)
		SELECT c0, c1, c2, c3, c4, c5, c6, c7 FROM ` + table})
	if err != nil {
		return err
	}
	t.OnCommit(func() { s.countMore(jobs) })
	return join(ctx, t, entries)
}

// resolve finds the definition and the values of its parameters, and fills what the request leaves
// open. It returns what the run asks of a worker.
func (s *submitting) resolve(ctx context.Context) (rules.Selector, error) {
	if s.DelayMS > 0 {
		at := s.now.Add(time.Duration(s.DelayMS) * time.Millisecond)
		s.NotBefore = &at
	} else if s.NotBefore != nil {
		at := db.FromMicros(db.Micros(*s.NotBefore))
		s.NotBefore = &at
	}
	selector := rules.Selector{Requires: s.Requires, Command: s.Command != nil}
	var err error
	if s.Command != nil {
		err = s.resolveCommand(ctx)
	} else {
		selector.Requires, err = s.resolveDefinition(ctx)
	}
	return s.complete(selector), err
}

// complete fills what the request and its definition leave open.
func (s *submitting) complete(selector rules.Selector) rules.Selector {
	if s.Priority == "" {
		s.Priority = job.PriorityNormal
	}
	s.Requires, selector.Spec, selector.Memory = selector.Requires, s.spec.Version, s.spec.MemoryBytes
	return selector
}

func (s *submitting) resolveCommand(ctx context.Context) error {
	_, _, err := tables.ReadDefinition(ctx, s.t, s.Job, "")
	if err == nil {
		return &job.InvalidError{What: "job name", Value: s.Job, Why: "belongs to a job with a definition: submit that job, or choose another name for the command"}
	}
	var none *query.NotFoundError
	if !errors.As(err, &none) {
		return err
	}
	s.spec = *s.Command
	s.spec.Version = job.SpecVersion
	s.spec.Labels = joinLabels(s.spec.Labels, s.Labels)
	return nil
}

func (s *submitting) resolveDefinition(ctx context.Context) (requires map[string]string, err error) {
	d, version, err := tables.ReadDefinition(ctx, s.t, s.Job, s.Version)
	if err != nil {
		return nil, err
	}
	return s.use(d, version)
}

// use resolves the request by a definition, and returns what the run requires of a worker.
func (s *submitting) use(d definition.Definition, version string) (requires map[string]string, err error) {
	if s.of != nil {
		s.values, err = d.ResolveIn(s.Parameters, s.of.At.In(s.of.Zone))
	} else {
		s.values, err = d.Resolve(s.Parameters, s.now)
	}
	if err != nil {
		return nil, err
	}
	if requires, err = rules.Requirements(d.Requires, s.Requires); err != nil {
		return nil, err
	}
	if s.Priority == "" {
		s.Priority = d.Priority
	}
	if s.of != nil && s.Overlap == "" {
		s.Overlap = d.Overlap
	}
	s.version, s.Group, s.within = version, d.Group, time.Duration(d.StartWithin)
	s.spec = d.Spec(s.values)
	s.spec.Labels = joinLabels(s.Labels)
	return requires, nil
}

func joinLabels(all ...map[string]string) map[string]string {
	labels := map[string]string{}
	for _, some := range all {
		maps.Copy(labels, some)
	}
	return labels
}

// checkOverlap refuses the run while other work of its job goes on, if the request wants that.
func (s *submitting) checkOverlap(ctx context.Context) error {
	if s.Overlap != definition.OverlapSkip {
		return nil
	}
	active, err := tables.LockActive(ctx, s.t, []string{s.Job}, 1)
	if err != nil || len(active[s.Job]) == 0 {
		return err
	}
	return &rules.ConflictError{Why: fmt.Sprintf("skipped, because %s: submit without overlap skip to queue the run all the same", active[s.Job][0])}
}

// dependencies returns the runs that the run still has to wait for.
func (s *submitting) dependencies(ctx context.Context) (open []job.Dependency, err error) {
	for _, d := range s.After {
		var state string
		err := s.t.QueryRowContext(ctx, `SELECT state FROM runs WHERE id = $1`, d.Run).Scan(&state)
		if errors.Is(err, sql.ErrNoRows) {
			return nil, &query.NotFoundError{What: "run " + d.Run + ", which must end first,"}
		}
		if err != nil {
			return nil, fmt.Errorf("read run %s: %w", d.Run, err)
		}
		switch rules.Judge(d.When, job.State(state)) {
		case rules.Waiting:
			open = append(open, d)
		case rules.Impossible:
			return nil, &job.InvalidError{What: "after", Value: d.Run + ":" + d.When, Why: "can never be met: the run is " + state}
		}
	}
	return open, nil
}

// newRow returns the run itself, without its number.
func (s *submitting) newRow() tables.RunRow {
	run := index.NewState(s.id, 0).View
	run.Job, run.CreatedAt, run.StartAt = s.Job, s.now, s.now
	run.Args, run.Command, run.Dir, run.Labels = s.spec.Args, job.CommandLine(s.spec.Args), s.spec.Dir, s.spec.Labels
	run.Submitted = &job.Submission{
		By: index.CleanText(s.by, 200), At: s.now, Definition: s.version, Parameters: s.values, Given: s.Parameters,
		Priority: s.Priority, Group: s.Group, Requires: s.Requires, Key: s.Key,
		NotBefore: s.NotBefore, StartBy: rules.StartBy(s.now, s.NotBefore, s.within), After: s.After,
	}
	if s.of != nil {
		run.Submitted.Occurrence = &job.Occurrence{Schedule: s.of.Schedule, At: s.of.At}
	}
	return tables.RunRow{Run: run, ReportedAt: s.now, ExpiresAt: s.now}
}

// countsLast is how long the counts of waiting runs are used. Until then those that join are added,
// and those that leave are not, so the queue has room again a little later than it could.
const countsLast = time.Second

// checkRoom returns *rules.FullError if the queue has no room for a run of a job, besides those that join it in the
// transaction, by job.
func (s *Queue) checkRoom(ctx context.Context, t *db.Tx, name string, join map[string]int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := t.Now().Sub(s.counted); s.waiting == nil || age < 0 || age > countsLast {
		waiting, err := countEntries(ctx, t)
		if err != nil {
			return err
		}
		s.waiting, s.counted = waiting, t.Now()
	}
	return rules.CheckRoom(name, s.waiting[everything]+join[everything], s.waiting[name]+join[name])
}

func countEntries(ctx context.Context, from db.Querier) (map[string]int64, error) {
	rows, err := from.QueryContext(ctx, `SELECT job, COUNT(*) FROM queue_entries GROUP BY job`)
	if err != nil {
		return nil, fmt.Errorf("count the runs in the queue: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	waiting := map[string]int64{}
	for rows.Next() {
		var name string
		var n int64
		if err := rows.Scan(&name, &n); err != nil {
			return nil, fmt.Errorf("count the runs in the queue: %w", err)
		}
		waiting[name] = n
		waiting[everything] += n
	}
	return waiting, rows.Err()
}

// everything is the key of the count of all jobs.
const everything = ""

// countMore adds runs to the counts, by their jobs.
func (s *Queue) countMore(jobs []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting != nil {
		for _, name := range jobs {
			s.waiting[name]++
			s.waiting[everything]++
		}
	}
}
