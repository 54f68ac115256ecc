package runs

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type listRunsIn struct {
	Job    string   `query:"job" maxLength:"200" doc:"Only runs of this job."`
	State  []string `query:"state,explode" maxItems:"20" doc:"Only runs in one of these states; may be given several times."`
	Health []string `query:"health,explode" maxItems:"10" doc:"Only runs with this health: healthy, warning, critical; may be given several times."`
	Label  []string `query:"label,explode" maxItems:"20" doc:"Only runs with this label, as key=value or key:value; given several times, all must match."`
	Q      string   `query:"q" maxLength:"256" doc:"Only runs with this text in job, command, host, id or a label's value."`
	Host   string   `query:"host" maxLength:"256" doc:"Only runs on this host."`
	Since  string   `query:"since" maxLength:"64" doc:"Only runs that started at this time or later; RFC 3339."`
	Until  string   `query:"until" maxLength:"64" doc:"Only runs that started before this time; RFC 3339."`
	Limit  int      `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most runs to return."`
	Cursor string   `query:"cursor" maxLength:"512" doc:"next_cursor of the previous page."`
}

type runList struct {
	Runs       []job.Run `json:"runs" nullable:"false"`
	NextCursor *string   `json:"next_cursor" doc:"The cursor of the next page; null on the last page."`
}

// ListRuns responds with a page of runs.
func (s *Runs) ListRuns(ctx context.Context, in *listRunsIn) (*route.Response[runList], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Runs(ctx, q)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list runs", err)
	}
	out := &route.Response[runList]{Body: runList{Runs: page.Runs}}
	if out.Body.Runs == nil {
		out.Body.Runs = []job.Run{}
	}
	if page.NextCursor != "" {
		out.Body.NextCursor = &page.NextCursor
	}
	return out, nil
}

// query returns the query for the filters. It returns an error for an invalid filter, such as an unknown
// state, which would match no run.
func (in *listRunsIn) query() (query.Runs, error) {
	q := query.Runs{Job: in.Job, Text: in.Q, Host: in.Host, Limit: in.Limit, Cursor: in.Cursor}
	if err := checkTexts(in.Job, in.Q, in.Host, in.Cursor); err != nil {
		return q, err
	}
	err := in.bounds(&q)
	if err != nil {
		return q, err
	}
	if q.States, err = readStates(in.State); err != nil {
		return q, err
	}
	for _, name := range splitWords(in.Health) {
		if !job.Health(name).Valid() {
			return q, httpio.NewProblem(http.StatusBadRequest, "there is no health %s: it is one of healthy, warning, critical", job.Quote(name))
		}
		q.Health = append(q.Health, job.Health(name))
	}
	q.Labels, err = readLabels(in.Label)
	return q, err
}

// checkTexts refuses what is not text.
func checkTexts(texts ...string) error {
	for _, text := range texts {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return httpio.NewProblem(http.StatusBadRequest, "%s is not text", job.Quote(text))
		}
	}
	return nil
}

// readStates parses lists of states.
func readStates(lists []string) (states []job.State, err error) {
	for _, name := range splitWords(lists) {
		if !job.State(name).Valid() {
			return nil, httpio.NewProblem(http.StatusBadRequest, "there is no state %s: the states are %s", job.Quote(name), strings.Join(stateNames(), ", "))
		}
		if state := job.State(name); !slices.Contains(states, state) { // of a query of any length only so many are kept
			states = append(states, state)
		}
	}
	return states, nil
}

// readLabels parses labels, of which each must match.
func readLabels(texts []string) (map[string]string, error) {
	labels := map[string]string{}
	for _, label := range texts {
		key, value, err := parseLabel(label)
		if err != nil {
			return nil, err
		}
		if had, twice := labels[key]; twice && had != value {
			return nil, httpio.NewProblem(http.StatusBadRequest, "the label %s has two different values, which no run matches", job.Quote(key))
		}
		labels[key] = value
	}
	return labels, nil
}

// bounds sets the times between which runs started.
func (in *listRunsIn) bounds(q *query.Runs) error {
	for _, bound := range []struct {
		name, text string
		into       *time.Time
	}{{"since", in.Since, &q.Since}, {"until", in.Until, &q.Until}} {
		if bound.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, bound.text)
		if err != nil {
			return httpio.NewProblem(http.StatusBadRequest, "%s=%s: want a time such as 2006-01-02T15:04:05Z", bound.name, job.Quote(bound.text))
		}
		*bound.into = at
	}
	return nil
}

// parseLabel parses key=value, or key:value if there is no "=".
func parseLabel(text string) (key, value string, err error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		key, value, ok = strings.Cut(text, ":")
	}
	if !ok {
		return "", "", httpio.NewProblem(http.StatusBadRequest, "the label %s is not of the form key=value", job.Quote(text))
	}
	return key, value, job.CheckLabel(key, value)
}

// splitWords returns the words of lists that are separated by commas.
func splitWords(in []string) []string {
	var out []string
	for _, list := range in {
		for word := range strings.SplitSeq(list, ",") {
			if word != "" {
				out = append(out, word)
			}
		}
	}
	return out
}

func stateNames() []string {
	var out []string
	for _, st := range job.States() {
		out = append(out, string(st))
	}
	return out
}

type getRunIn struct {
	Run     string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	Attempt int    `query:"attempt" minimum:"1" doc:"Show the run as of this attempt, with the worker that started it; without it, as of the last."`
}

// GetRun responds with one run.
func (s *Runs) GetRun(ctx context.Context, in *getRunIn) (*route.Response[job.Run], error) {
	run, err := s.FindAttempt(ctx, in.Run, in.Attempt)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read run "+job.Quote(in.Run), err)
	}
	return route.OK(run)
}

type listEventsIn struct {
	Run   string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	After int64  `query:"after" minimum:"0" doc:"Only changes after the one with this id."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"The most changes to return."`
}

type eventList struct {
	Events []job.RunEvent `json:"events" nullable:"false"`
}

// ListEvents responds with the changes of a run, oldest first.
func (s *Runs) ListEvents(ctx context.Context, in *listEventsIn) (*route.Response[eventList], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	events, err := s.Store.Events(ctx, id, in.After, in.Limit)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read events of run "+id, err)
	}
	if events == nil {
		events = []job.RunEvent{}
	}
	return route.OK(eventList{events})
}
