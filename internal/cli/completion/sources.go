package completion

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/client/lists"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

const (
	// pageSize and mostJobs bound how many jobs are asked for, recentRuns how many runs.
	pageSize   = 500
	mostJobs   = 2000
	recentRuns = 100
	// shownRuns is how many runs are offered before a job is typed.
	shownRuns = 20
)

// sources are the kinds whose values are asked for.
var sources map[Kind]func(request) []item

func init() {
	sources = map[Kind]func(request) []item{
		Jobs: jobs, Runs: runs, Labels: labels, Hosts: hosts, Groups: groups, Routes: routes, Workers: workers, Tokens: tokens,
		Steps: steps, Attempts: attempts, Versions: versions, Parameters: parameters, Commands: commands,
	}
}

// commands are those below the command that the arguments name.
func commands(r request) []item {
	cmd, rest, err := r.cmd.Root().Find(r.args)
	if err != nil || len(rest) > 0 {
		return nil
	}
	var items []item
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			items = append(items, item{sub.Name(), sub.Short})
		}
	}
	return items
}

func jobs(r request) []item {
	return r.answer("jobs", func(ctx context.Context, c *client.Client) (items []item, err error) {
		for cursor := ""; len(items) < mostJobs; {
			page, err := lists.Jobs(ctx, c, lists.JobsQuery{Cursor: cursor, Limit: pageSize})
			if err != nil {
				return items, err
			}
			for _, j := range page.Jobs {
				note := ""
				if j.LastRun != nil {
					note = fmt.Sprintf("#%d %s", j.LastRun.Number, j.LastRun.State)
				}
				items = append(items, item{j.Name, note})
			}
			if cursor = page.NextCursor; cursor == "" {
				break
			}
		}
		return items, nil
	})
}

// ofState are the states of the runs that a command is for; of others, all runs are offered.
var ofState = map[string][]job.State{
	"cancel": active(), "queue move": {job.Queued}, "retry": badly(), "acknowledge": append(active(), badly()...),
}

func active() (states []job.State) {
	for _, s := range job.States() {
		if !s.Terminal() {
			states = append(states, s)
		}
	}
	return states
}

func badly() []job.State { return []job.State{job.Failed, job.TimedOut, job.Lost, job.Canceled} }

// runs are the jobs and the newest runs; after job# the runs of that job, after job#number. its attempts, and after
// name@ the last run in a state.
func runs(r request) []item {
	of, number, byNumber := strings.Cut(r.typed, "#")
	if ref, _, found := strings.Cut(number, "."); byNumber && found {
		return attemptsOf(r, of+"#"+ref, of+"#"+ref+".")
	}
	if name, _, found := strings.Cut(r.typed, "@"); found {
		return []item{{name + "@failed", "the last run that failed"}, {name + "@running", "the last run that is active"}}
	}
	q := client.RunsQuery{Limit: recentRuns}
	if byNumber {
		q.Job = of
	}
	states := ofState[below(r.cmd)]
	for _, s := range states {
		q.State = append(q.State, string(s))
	}
	found := newest(r, q)
	var items, ids []item
	for i, run := range found {
		if byNumber || i < shownRuns {
			items = append(items, item{run.name, run.note})
		}
		if r.typed != "" && !byNumber {
			ids = append(ids, item{run.id, run.name + ", " + run.note})
		}
	}
	if !byNumber && len(states) == 0 {
		items = append(jobs(r), items...)
	}
	return append(items, ids...)
}

// known is a run that was asked for.
type known struct{ id, name, note string }

// newest returns the newest runs.
func newest(r request, q client.RunsQuery) []known {
	items := r.answer("runs "+q.Job+" "+strings.Join(q.State, ","), func(ctx context.Context, c *client.Client) (items []item, err error) {
		page, err := c.Runs(ctx, q)
		for _, run := range page.Runs {
			note := string(run.State)
			if run.StartedAt != nil {
				note += ", started " + run.StartAt.Local().Format("2006-01-02 15:04")
			}
			items = append(items, item{run.ID, command.RunName(run) + "\t" + note})
		}
		return items, err
	})
	var found []known
	for _, i := range items {
		name, note, _ := strings.Cut(i.Note, "\t")
		found = append(found, known{i.Value, name, note})
	}
	return found
}

// ofRuns returns values of the newest runs, the most frequent ones first.
func ofRuns(r request, question string, of func(job.Run) []string) []item {
	return r.answer(question, func(ctx context.Context, c *client.Client) (items []item, err error) {
		page, err := c.Runs(ctx, client.RunsQuery{Limit: pageSize})
		count := map[string]int64{}
		for _, run := range page.Runs {
			for _, v := range of(run) {
				count[v]++
			}
		}
		for _, v := range slices.SortedFunc(maps.Keys(count), func(a, b string) int { return cmp.Or(cmp.Compare(count[b], count[a]), cmp.Compare(a, b)) }) {
			items = append(items, item{v, "of " + console.Count(count[v], "recent run")})
		}
		return items, err
	})
}

// labels are keys, and after KEY= the labels with that key.
func labels(r request) []item {
	all := ofRuns(r, "labels", func(run job.Run) (all []string) {
		for k, v := range run.Labels {
			all = append(all, k+"="+v)
		}
		return all
	})
	if strings.Contains(r.typed, "=") {
		return all
	}
	var keys []item
	for _, l := range all {
		key, _, _ := strings.Cut(l.Value, "=")
		keys = append(keys, item{Value: key + "="})
	}
	return keys
}

func hosts(r request) []item {
	return ofRuns(r, "hosts", func(run job.Run) []string { return []string{run.Host} })
}

func groups(r request) []item {
	return r.answer("groups", func(ctx context.Context, c *client.Client) (items []item, err error) {
		all, err := c.Groups(ctx)
		for _, g := range all {
			items = append(items, item{g.Name, fmt.Sprintf("limit %d, %d active", g.Limit, g.Active)})
		}
		return items, err
	})
}

func routes(r request) []item {
	return r.answer("routes", func(ctx context.Context, c *client.Client) (items []item, err error) {
		all, err := c.Routes(ctx)
		for _, route := range all {
			items = append(items, item{route.Name, route.URL})
		}
		return items, err
	})
}

func workers(r request) []item {
	return r.answer("workers", func(ctx context.Context, c *client.Client) (items []item, err error) {
		all, err := c.Workers(ctx)
		for _, w := range all {
			items = append(items, item{w.Name, "on " + w.Host})
		}
		return items, err
	})
}

func tokens(r request) []item {
	return r.answer("tokens", func(ctx context.Context, c *client.Client) (items []item, err error) {
		all, err := c.Tokens(ctx)
		for _, t := range all {
			items = append(items, item{t.Name, t.Scope})
		}
		return items, err
	})
}

// ofNamedRun returns values of the run that the first argument names.
func ofNamedRun(r request, ref, question string, of func(job.Run) []item) []item {
	if ref == "" {
		return nil
	}
	return r.answer(question+" "+ref, func(ctx context.Context, c *client.Client) ([]item, error) {
		run, err := command.FindRun(ctx, c, ref)
		return of(run), err
	})
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func steps(r request) []item {
	return ofNamedRun(r, first(r.args), "steps", func(run job.Run) (items []item) {
		for _, s := range run.Steps {
			items = append(items, item{s.Name, string(s.State)})
		}
		return items
	})
}

func attempts(r request) []item { return attemptsOf(r, first(r.args), "") }

// attemptsOf returns the numbers of the attempts of a run, the last one first.
func attemptsOf(r request, ref, prefix string) []item {
	return ofNamedRun(r, ref, "attempts "+prefix, func(run job.Run) (items []item) {
		for n := run.Attempt; n > 0; n-- {
			note := ""
			if n == run.Attempt {
				note = "the last one, " + string(run.State)
			}
			items = append(items, item{fmt.Sprintf("%s%d", prefix, n), note})
		}
		return items
	})
}

// versions are those of the definition of the job that the first argument names.
func versions(r request) []item {
	name := first(r.args)
	if job.CheckName(name) != nil {
		return nil
	}
	return r.answer("versions "+name, func(ctx context.Context, c *client.Client) (items []item, err error) {
		all, err := c.DefinitionVersions(ctx, name)
		for _, v := range all {
			note := "applied " + v.AppliedAt.Local().Format(time.DateTime)
			if v.Current {
				note += ", the current one"
			}
			items = append(items, item{v.Version[:min(len(v.Version), 12)], note})
		}
		return items, err
	})
}

// parameters are those of the definition of the job that the first argument names.
func parameters(r request) []item {
	name := first(r.args)
	if job.CheckName(name) != nil {
		return nil
	}
	return r.answer("parameters "+name, func(ctx context.Context, c *client.Client) (items []item, err error) {
		d, err := c.Definition(ctx, name, "")
		for _, p := range d.Parameters {
			items = append(items, item{p.Name + "=", p.Help})
			for _, choice := range p.Choices {
				items = append(items, item{p.Name + "=" + choice, p.Help})
			}
		}
		return items, err
	})
}
