package definitions

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"stint.dev/stint/internal/calendar"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// CalendarStore has the due times of jobs and their results.
type CalendarStore interface {
	ListSchedules(ctx context.Context, job, after string, limit int) ([]api.Schedule, error)
	// CountOccurrences counts the results of the times of a job's schedules from a time to another one, and Occurrences
	// lists it.
	CountOccurrences(ctx context.Context, job string, from, to time.Time) ([]calendar.ResultCount, error)
	Occurrences(ctx context.Context, job string, from, to time.Time, limit int) ([]api.OccurrenceRecord, error)
	// PlannedTimes returns the times of a job's schedules that have not come.
	PlannedTimes(ctx context.Context, job string, from, to time.Time, most int) ([]api.CalendarTime, error)
	// DueTimes returns the due times of a job's expectation; none without one.
	DueTimes(ctx context.Context, job string, from, to, now time.Time) ([]api.CalendarTime, error)
	// JobDue returns the expectation of a job, or *query.NotFoundError.
	JobDue(ctx context.Context, job string, now time.Time) (api.JobDue, error)
}

type calendarIn struct {
	Job   string `path:"job" maxLength:"600" doc:"The job's name."`
	From  string `query:"from" maxLength:"10" doc:"The first day, as 2006-01-02; without it, the first of this month."`
	Days  int    `query:"days" minimum:"1" maximum:"62" default:"31" doc:"How many days to return."`
	Zone  string `query:"zone" maxLength:"200" doc:"The time zone of the days; without it, that of the job's first schedule, else of its expectation, else UTC."`
	Limit int    `query:"limit" minimum:"0" maximum:"5000" default:"400" doc:"The most times to return. If there are more, only the counts of each day are returned."`
}

// mostPlanned is the most times of one calendar that have not come: those of ten schedules that are due each minute.
const mostPlanned = 10 * calendar.MostDays * 24 * 60

// GetCalendar responds with the due times of a job on some days, past and future, with the results of the past ones.
func (s *Routes) GetCalendar(ctx context.Context, in *calendarIn) (*route.Response[api.Calendar], error) {
	what := "read the calendar of job " + job.Quote(in.Job)
	if err := job.CheckName(in.Job); err != nil {
		return nil, httpio.AsProblem(err)
	}
	now := s.Now()
	p, err := s.period(ctx, in, now)
	if err != nil {
		return nil, s.ProblemOf(ctx, what, err)
	}
	c, err := s.calendar(ctx, in, p, now)
	if err != nil {
		return nil, s.ProblemOf(ctx, what, err)
	}
	return route.OK(c)
}

func (s *Routes) calendar(ctx context.Context, in *calendarIn, p calendar.Period, now time.Time) (api.Calendar, error) {
	from, to := p.From(), p.To()
	counted, err := s.Calendar.CountOccurrences(ctx, in.Job, from, to)
	if err != nil {
		return api.Calendar{}, err
	}
	occurrences, err := s.Calendar.Occurrences(ctx, in.Job, from, to, in.Limit+1)
	if err != nil {
		return api.Calendar{}, err
	}
	planned, err := s.Calendar.PlannedTimes(ctx, in.Job, from, to, mostPlanned)
	if err != nil {
		return api.Calendar{}, err
	}
	expected, err := s.Calendar.DueTimes(ctx, in.Job, from, to, now)
	if err != nil {
		return api.Calendar{}, err
	}
	c := calendar.New(p, counted, occurrences, append(planned, expected...), in.Limit)
	c.Job = in.Job
	return c, nil
}

// period returns the days that a request asks for.
func (s *Routes) period(ctx context.Context, in *calendarIn, now time.Time) (calendar.Period, error) {
	name, err := s.zoneOf(ctx, in, now)
	if err != nil {
		return calendar.Period{}, err
	}
	zone, err := time.LoadLocation(name)
	if err != nil || strings.EqualFold(name, "local") {
		return calendar.Period{}, httpio.NewProblem(http.StatusBadRequest, "zone: %s is not a time zone such as Europe/Berlin or UTC", job.Quote(name))
	}
	year, month, _ := now.In(zone).Date()
	p := calendar.Period{Zone: zone, First: time.Date(year, month, 1, 0, 0, 0, 0, time.UTC), Days: in.Days}
	if in.From != "" {
		if p.First, err = time.Parse(time.DateOnly, in.From); err != nil || p.First.Year() < 1970 {
			return p, httpio.NewProblem(http.StatusBadRequest, "from: %s is not a day such as 2026-11-28", job.Quote(in.From))
		}
	}
	return p, nil
}

// zoneOf returns the name of the zone whose days are shown.
func (s *Routes) zoneOf(ctx context.Context, in *calendarIn, now time.Time) (string, error) {
	if in.Zone != "" {
		return in.Zone, nil
	}
	schedules, err := s.Calendar.ListSchedules(ctx, in.Job, "", 1)
	if err != nil {
		return "", err
	}
	if len(schedules) > 0 {
		return schedules[0].Zone, nil
	}
	due, err := s.Calendar.JobDue(ctx, in.Job, now)
	var none *query.NotFoundError
	if err != nil && !errors.As(err, &none) {
		return "", err
	}
	return cmp.Or(due.Zone, "UTC"), nil
}
