// Package due sets, shows and pauses when jobs are expected to be started by somebody else.
package due

import (
	"context"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/due"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Store keeps expectations. Methods that name a job return *query.NotFoundError when it has none.
type Store interface {
	JobDue(ctx context.Context, job string, now time.Time) (api.JobDue, error)
	// PutDue returns *job.InvalidError for an expectation that is not valid.
	PutDue(ctx context.Context, job string, set api.DueRequest, by string, now time.Time) error
	// UpcomingDue returns the first n due times that an expectation would have, or *job.InvalidError.
	UpcomingDue(ctx context.Context, job string, e job.Expectation, n int, now time.Time) (api.DueTimes, error)
	PauseDue(ctx context.Context, job string, paused bool, now time.Time) error
	DeleteDue(ctx context.Context, job string) error
	SuggestDue(ctx context.Context, job string, zones []*time.Location, now time.Time) (api.DueSuggestion, error)
	DismissSuggestion(ctx context.Context, job string) error
}

// Routes answers the calls.
type Routes struct {
	httpio.ErrorWriter
	Store Store
	Now   func() time.Time
	// PublicURL is the address of the server for people and agents; empty if it is not known.
	PublicURL string
}

type putDueIn struct {
	Job  string `path:"job" maxLength:"600" doc:"The job's name."`
	Body struct {
		_            struct{}          `additionalProperties:"false"`
		EverySeconds int64             `json:"every_seconds,omitempty" doc:"A run is due this long after the start of the last one: 60 to 31536000. Give this or cron."`
		Cron         string            `json:"cron,omitempty" doc:"A run is due at these times: minute hour day month weekday."`
		Zone         string            `json:"zone,omitempty" doc:"The time zone of cron, such as Europe/Berlin; UTC if it is absent."`
		GraceSeconds int64             `json:"grace_seconds,omitempty" doc:"How long after it was due a run counts as missed: 60 to 31536000; an hour if it is absent."`
		UUID         *string           `json:"uuid,omitempty" maxLength:"36" doc:"The UUID by which it is pinged; as it is, or a new one, if it is absent."`
		Slug         *string           `json:"slug,omitempty" maxLength:"200" doc:"The name by which it is pinged: a-z, 0-9, -, _ and .; that of the job if it is empty, and as it is if it is absent."`
		PostOnly     *bool             `json:"post_only,omitempty" doc:"Whether pings count with the method POST only; as it is if it is absent."`
		Labels       map[string]string `json:"labels,omitempty" doc:"Labels of the runs that pings make, at most 61: all that there are to be; as they are if it is absent."`
	}
}

// GetDue answers when a job is expected to be started, and what was missed.
func (s *Routes) GetDue(ctx context.Context, in *route.JobPath) (*route.Response[api.JobDue], error) {
	out, err := s.Store.JobDue(ctx, in.Job, s.Now())
	if err != nil {
		return nil, s.ProblemOf(ctx, "read when job "+job.Quote(in.Job)+" is due", err)
	}
	if access.CallerOf(ctx).Scope.Allows(access.Write) {
		out.PingURL = strings.TrimRight(s.PublicURL, "/") + out.PingURL
	} else {
		out.PingURL = "" // a client that knows it may ping
	}
	return route.OK(out)
}

// PutDue sets when a job is expected to be started.
func (s *Routes) PutDue(ctx context.Context, in *putDueIn) (*route.Response[api.JobDue], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	b := in.Body
	set := api.DueRequest{
		Expectation: job.Expectation{EverySeconds: b.EverySeconds, Cron: b.Cron, Zone: b.Zone, GraceSeconds: b.GraceSeconds},
		UUID:        b.UUID, Slug: b.Slug, PostOnly: b.PostOnly, Labels: b.Labels,
	}
	if err := s.Store.PutDue(ctx, in.Job, set, access.CallerOf(ctx).Name, s.Now()); err != nil {
		return nil, s.ProblemOf(ctx, "set when job "+job.Quote(in.Job)+" is due", err)
	}
	out, err := s.GetDue(ctx, &route.JobPath{Job: in.Job})
	if err == nil {
		access.SetDetail(ctx, textOf(out.Body.Expectation))
	}
	return out, err
}

// textOf says when a run is due, for the audit log.
func textOf(e job.Expectation) string {
	when := "every " + job.DurationText(time.Duration(e.EverySeconds)*time.Second)
	if e.Cron != "" {
		when = "at " + e.Cron + " " + e.Zone
	}
	return when + ", grace " + job.DurationText(time.Duration(e.GraceSeconds)*time.Second)
}

type dueTimesIn struct {
	Job          string `path:"job" maxLength:"600" doc:"The job's name."`
	EverySeconds int64  `query:"every_seconds" doc:"As of PUT …/due, as all of the following."`
	Cron         string `query:"cron"`
	Zone         string `query:"zone"`
	GraceSeconds int64  `query:"grace_seconds"`
	N            int    `query:"n" minimum:"1" maximum:"100" default:"5" doc:"How many due times to return."`
}

// ListDueTimes answers the due times that an expectation would have if it was set now.
func (s *Routes) ListDueTimes(ctx context.Context, in *dueTimesIn) (*route.Response[api.DueTimes], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	e := job.Expectation{EverySeconds: in.EverySeconds, Cron: in.Cron, Zone: in.Zone, GraceSeconds: in.GraceSeconds}
	out, err := s.Store.UpcomingDue(ctx, in.Job, e, in.N, s.Now())
	if err != nil {
		return nil, s.ProblemOf(ctx, "compute when job "+job.Quote(in.Job)+" would be due", err)
	}
	return route.OK(out)
}

// DeleteDue deletes the expectation of a job.
func (s *Routes) DeleteDue(ctx context.Context, in *route.JobPath) (*struct{}, error) {
	if err := s.Store.DeleteDue(ctx, in.Job); err != nil {
		return nil, s.ProblemOf(ctx, "delete when job "+job.Quote(in.Job)+" is due", err)
	}
	return nil, nil //nolint:nilnil // huma responds with 204
}

// PauseDue pauses the expectation of a job.
func (s *Routes) PauseDue(ctx context.Context, in *route.JobPath) (*route.Response[api.JobDue], error) {
	return s.pause(ctx, in, true)
}

// ResumeDue ends the pause.
func (s *Routes) ResumeDue(ctx context.Context, in *route.JobPath) (*route.Response[api.JobDue], error) {
	return s.pause(ctx, in, false)
}

func (s *Routes) pause(ctx context.Context, in *route.JobPath, paused bool) (*route.Response[api.JobDue], error) {
	if err := s.Store.PauseDue(ctx, in.Job, paused, s.Now()); err != nil {
		return nil, s.ProblemOf(ctx, "pause or resume when job "+job.Quote(in.Job)+" is due", err)
	}
	return s.GetDue(ctx, in)
}

type suggestIn struct {
	Job  string `path:"job" maxLength:"600" doc:"The job's name."`
	Zone string `query:"zone" maxLength:"200" doc:"A time zone in which the crontab of the job may be, such as Europe/Berlin, besides UTC."`
}

// SuggestDue answers which expectation the starts of a job fit.
func (s *Routes) SuggestDue(ctx context.Context, in *suggestIn) (*route.Response[api.DueSuggestion], error) {
	zones := []*time.Location{time.UTC}
	if in.Zone != "" && in.Zone != "UTC" {
		zone, err := due.Zone(in.Zone)
		if err != nil {
			return nil, httpio.AsProblem(err)
		}
		zones = []*time.Location{zone, time.UTC}
	}
	out, err := s.Store.SuggestDue(ctx, in.Job, zones, s.Now())
	if err != nil {
		return nil, s.ProblemOf(ctx, "look for a pattern in the starts of job "+job.Quote(in.Job), err)
	}
	return route.OK(out)
}

// DismissSuggestion suggests nothing for a job any more.
func (s *Routes) DismissSuggestion(ctx context.Context, in *route.JobPath) (*struct{}, error) {
	if err := s.Store.DismissSuggestion(ctx, in.Job); err != nil {
		return nil, s.ProblemOf(ctx, "suggest nothing for job "+job.Quote(in.Job), err)
	}
	return nil, nil //nolint:nilnil // huma responds with 204
}
