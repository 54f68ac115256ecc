package definitions

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// ScheduleStore keeps schedules. Methods that name a job or a schedule return *query.NotFoundError when there is none.
type ScheduleStore interface {
	// ListSchedules returns the schedules of one job, or for "" those of all jobs after another one.
	ListSchedules(ctx context.Context, job, after string, limit int) ([]api.Schedule, error)
	// ScheduledTimes returns the next n times of the schedules of a job, or of all for "".
	ScheduledTimes(ctx context.Context, job string, n int) ([]api.ScheduledTime, error)
	// Occurrences returns the results of the times of a job's schedules, the last first.
	Occurrences(ctx context.Context, job string, from, to time.Time, limit int) ([]api.OccurrenceRecord, error)
	// PauseSchedule keeps a schedule from starting its job; nil ends that.
	PauseSchedule(ctx context.Context, job string, number int, pause *api.Pause) (api.Schedule, error)
	// Backfill makes the runs of times that have passed and have none, and returns the occurrences of the period.
	Backfill(ctx context.Context, job string, b api.Backfill) ([]api.OccurrenceRecord, error)
}

type schedulesIn struct {
	Job    string `query:"job" maxLength:"600" doc:"Only the schedules of this job."`
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"500" doc:"The most jobs whose schedules are returned."`
	Cursor string `query:"cursor" maxLength:"1000" doc:"next_cursor of the page before."`
}

type scheduleList struct {
	Schedules  []api.Schedule `json:"schedules" nullable:"false"`
	NextCursor *string        `json:"next_cursor" doc:"Ask for the next page with this as cursor; null on the last page."`
}

// ListSchedules answers a page of schedules, in the order of jobs.
func (s *Routes) ListSchedules(ctx context.Context, in *schedulesIn) (*route.Response[scheduleList], error) {
	all, err := s.Schedules.ListSchedules(ctx, in.Job, in.Cursor, in.Limit)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list schedules", err)
	}
	out := scheduleList{Schedules: all}
	if n := len(all); in.Job == "" && n >= in.Limit {
		out.NextCursor = &all[n-1].Job
	}
	return route.OK(out)
}

type timesIn struct {
	Job string `query:"job" maxLength:"600" doc:"Only the schedules of this job."`
	N   int    `query:"n" minimum:"1" maximum:"1000" default:"10" doc:"How many times to return."`
}

type timeList struct {
	Times []api.ScheduledTime `json:"times" nullable:"false"`
}

// ListTimes answers the next times at which schedules are due.
func (s *Routes) ListTimes(ctx context.Context, in *timesIn) (*route.Response[timeList], error) {
	all, err := s.Schedules.ScheduledTimes(ctx, in.Job, in.N)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list the next times of schedules", err)
	}
	return route.OK(timeList{all})
}

type occurrencesIn struct {
	Job   string    `path:"job" maxLength:"600" doc:"The job's name."`
	From  time.Time `query:"from" doc:"The first time; without it, 31 days before the last one."`
	To    time.Time `query:"to" doc:"The end of the period; without it, now."`
	Limit int       `query:"limit" minimum:"1" maximum:"5000" default:"1000" doc:"The most occurrences to return."`
}

type occurrenceList struct {
	Occurrences []api.OccurrenceRecord `json:"occurrences" nullable:"false"`
}

// shownPeriod is how far back occurrences are listed unless a request says otherwise.
const shownPeriod = 31 * 24 * time.Hour

// ListOccurrences responds with the results of the times of a job's schedules, the last first.
func (s *Routes) ListOccurrences(ctx context.Context, in *occurrencesIn) (*route.Response[occurrenceList], error) {
	if err := job.CheckName(in.Job); err != nil {
		return nil, s.ProblemOf(ctx, "list occurrences", err)
	}
	if in.To.IsZero() {
		in.To = s.Now().Add(time.Second)
	}
	if in.From.IsZero() {
		in.From = in.To.Add(-shownPeriod)
	}
	all, err := s.Schedules.Occurrences(ctx, in.Job, in.From, in.To, in.Limit)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list the occurrences of job "+job.Quote(in.Job), err)
	}
	return route.OK(occurrenceList{all})
}

type schedulePath struct {
	Job    string `path:"job" maxLength:"600" doc:"The job's name."`
	Number int    `path:"number" minimum:"1" maximum:"1000000" doc:"The number of the schedule within the job."`
}

type schedulePauseIn struct {
	Job    string `path:"job" maxLength:"600" doc:"The job's name."`
	Number int    `path:"number" minimum:"1" maximum:"1000000" doc:"The number of the schedule within the job."`
	Body   *struct {
		_   struct{} `additionalProperties:"false"`
		By  string   `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
		Why string   `json:"why,omitempty" maxLength:"1000" doc:"In their words."`
	}
}

// PauseSchedule keeps one schedule from starting its job until somebody resumes it.
func (s *Routes) PauseSchedule(ctx context.Context, in *schedulePauseIn) (*route.Response[api.Schedule], error) {
	by, why := "", ""
	if in.Body != nil {
		by, why = in.Body.By, in.Body.Why
	}
	return s.pauseSchedule(ctx, schedulePath{in.Job, in.Number}, s.pauseBy(ctx, by, why))
}

// ResumeSchedule ends that.
func (s *Routes) ResumeSchedule(ctx context.Context, in *schedulePath) (*route.Response[api.Schedule], error) {
	return s.pauseSchedule(ctx, *in, nil)
}

func (s *Routes) pauseSchedule(ctx context.Context, of schedulePath, pause *api.Pause) (*route.Response[api.Schedule], error) {
	out, err := s.Schedules.PauseSchedule(ctx, of.Job, of.Number, pause)
	if err != nil {
		return nil, s.ProblemOf(ctx, fmt.Sprintf("pause schedule %d of job %s", of.Number, job.Quote(of.Job)), err)
	}
	if pause != nil && pause.Why != "" {
		access.SetDetail(ctx, pause.Why)
	}
	return route.OK(out)
}

type backfillIn struct {
	Job  string `path:"job" maxLength:"600" doc:"The job's name."`
	Body struct {
		_        struct{}  `additionalProperties:"false"`
		Schedule int       `json:"schedule,omitempty" minimum:"0" maximum:"1000000" doc:"The number of one schedule; without it, all of the job."`
		From     time.Time `json:"from" doc:"The first time."`
		To       time.Time `json:"to" doc:"The end of the period; times that have not come are left out."`
		By       string    `json:"by,omitempty" maxLength:"200" doc:"Name to record if the request has no login."`
	}
}

// PostBackfill makes the runs of times that have passed and have none. Unless the job allows overlaps, each waits for
// the end of the one before.
func (s *Routes) PostBackfill(ctx context.Context, in *backfillIn) (*route.Response[occurrenceList], error) {
	b := api.Backfill{Schedule: in.Body.Schedule, From: in.Body.From, To: in.Body.To, By: caller(ctx, in.Body.By)}
	if b.By == "" {
		b.By = "somebody"
	}
	if !b.From.Before(b.To) {
		return nil, httpio.NewProblem(http.StatusBadRequest, "the period ends at %s, before it begins: give from and to", job.TimeText(b.To))
	}
	all, err := s.Schedules.Backfill(ctx, in.Job, b)
	if err != nil {
		return nil, s.ProblemOf(ctx, "backfill job "+job.Quote(in.Job), err)
	}
	access.SetDetail(ctx, fmt.Sprintf("from %s to %s", job.TimeText(b.From), job.TimeText(b.To)))
	return route.OK(occurrenceList{all})
}
