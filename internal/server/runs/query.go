package runs

import (
	"context"
	"net/http"
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
	Health []string `query:"health,explode" maxItems:"10" doc:"Only runs judged like this: healthy, warning, critical; may be given several times."`
	Label  []string `query:"label,explode" maxItems:"20" doc:"Only runs with this label, as key=value or key:value; given several times, all must match."`
	Q      string   `query:"q" maxLength:"256" doc:"Only runs with this text in job, command, host, id or a label's value."`
	Host   string   `query:"host" maxLength:"256" doc:"Only runs on this host."`
	Since  string   `query:"since" maxLength:"64" doc:"Only runs that started then or later; RFC 3339."`
	Until  string   `query:"until" maxLength:"64" doc:"Only runs that started before; RFC 3339."`
	Limit  int      `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"The most runs to return."`
	Cursor string   `query:"cursor" maxLength:"512" doc:"next_cursor of the page before."`
}

type runList struct {
	Runs       []job.Run `json:"runs" nullable:"false"`
	NextCursor *string   `json:"next_cursor" doc:"Ask for the next page with this as cursor; null on the last page."`
}

// ListRuns answers a page of runs.
func (s *Runs) ListRuns(ctx context.Context, in *listRunsIn) (*route.Answer[runList], error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	page, err := s.Store.Runs(ctx, q)
	if err != nil {
		return nil, s.Internal(ctx, "list runs", err)
	}
	out := &route.Answer[runList]{Body: runList{Runs: page.Runs}}
	if out.Body.Runs == nil {
		out.Body.Runs = []job.Run{}
	}
	if page.NextCursor != "" {
		out.Body.NextCursor = &page.NextCursor
	}
	return out, nil
}

// query checks the filters, because an unknown state would quietly match nothing.
func (in *listRunsIn) query() (query.Runs, error) {
	q := query.Runs{Job: in.Job, Text: in.Q, Host: in.Host, Limit: in.Limit, Cursor: in.Cursor, Labels: map[string]string{}}
	for _, text := range []string{in.Job, in.Q, in.Host, in.Cursor} {
		if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
			return q, httpio.NewProblem(http.StatusBadRequest, "%s is not text", job.Quote(text))
		}
	}
	if err := in.bounds(&q); err != nil {
		return q, err
	}
	for _, name := range splitWords(in.State) {
		if !job.State(name).Valid() {
			return q, httpio.NewProblem(http.StatusBadRequest, "there is no state %s: there is %s", job.Quote(name), strings.Join(stateNames(), ", "))
		}
		q.States = append(q.States, job.State(name))
	}
	for _, name := range splitWords(in.Health) {
		if !job.Health(name).Valid() {
			return q, httpio.NewProblem(http.StatusBadRequest, "there is no health %s: there is healthy, warning, critical", job.Quote(name))
		}
		q.Health = append(q.Health, job.Health(name))
	}
	for _, label := range in.Label {
		key, value, err := parseLabel(label)
		if err != nil {
			return q, err
		}
		if had, twice := q.Labels[key]; twice && had != value {
			return q, httpio.NewProblem(http.StatusBadRequest, "label %s cannot have two values at once", job.Quote(key))
		}
		q.Labels[key] = value
	}
	return q, nil
}

// bounds reads the times between which runs started.
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

// parseLabel reads key=value; key:value does too where there is no =.
func parseLabel(text string) (key, value string, err error) {
	key, value, ok := strings.Cut(text, "=")
	if !ok {
		key, value, ok = strings.Cut(text, ":")
	}
	if !ok {
		return "", "", httpio.NewProblem(http.StatusBadRequest, "label %s is not key=value", job.Quote(text))
	}
	return key, value, job.CheckLabel(key, value)
}

// splitWords takes lists apart that were written with commas.
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
	Run     string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	Attempt int    `query:"attempt" minimum:"1" doc:"The run as this attempt shows it; without it, the last."`
}

// GetRun answers one run.
func (s *Runs) GetRun(ctx context.Context, in *getRunIn) (*route.Answer[job.Run], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	read := s.Store.Run
	if in.Attempt > 0 {
		read = func(ctx context.Context, id string) (job.Run, error) { return s.Store.RunAttempt(ctx, id, in.Attempt) }
	}
	run, err := read(ctx, id)
	if err != nil {
		return nil, s.Internal(ctx, "read run "+id, err)
	}
	return route.OK(run)
}

type listEventsIn struct {
	Run   string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	After int64  `query:"after" minimum:"0" doc:"Only changes after the one with this id."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"The most changes to return."`
}

type eventList struct {
	Events []job.RunEvent `json:"events" nullable:"false"`
}

// ListEvents answers a run's history, oldest first.
func (s *Runs) ListEvents(ctx context.Context, in *listEventsIn) (*route.Answer[eventList], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	events, err := s.Store.Events(ctx, id, in.After, in.Limit)
	if err != nil {
		return nil, s.Internal(ctx, "read events of run "+id, err)
	}
	if events == nil {
		events = []job.RunEvent{}
	}
	return route.OK(eventList{events})
}
