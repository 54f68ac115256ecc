// Package runs serves what is stored of runs and jobs: lists and single runs (query.go), counts, jobs,
// samples, what is usual (band.go), and the load of agents and hosts (fleet.go).
package runs

import (
	"context"
	"net/http"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Store is the part of the database that the handlers read, and from which they delete jobs. Methods that
// take the name of a run or job return *query.NotFoundError if there is none.
type Store interface {
	RunStore
	JobStore
	SampleStore
}

// RunStore reads runs, and deletes them.
type RunStore interface {
	Run(ctx context.Context, id string) (job.Run, error)
	// RunAttempt returns the run as one attempt, which may not be the last, shows it.
	RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error)
	Runs(ctx context.Context, q query.Runs) (query.RunPage, error)
	// RunCounts counts runs by state and health. It ignores Limit and Cursor.
	RunCounts(ctx context.Context, q query.Runs) (query.RunCounts, error)
	// Events returns the changes after an id, oldest first; of all runs if run is empty.
	Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error)
	// Overview returns what the first view of all runs and jobs shows.
	Overview(ctx context.Context, q query.Overview) (api.Overview, error)
	// LiveAgents returns the active attempts with their last heartbeats.
	LiveAgents(ctx context.Context) ([]lease.LiveAgent, error)
	// EraseRun deletes an ended run because by asked for it, and returns when. The error of an active one is
	// *query.ActiveRunError.
	EraseRun(ctx context.Context, run, by string) (at time.Time, err error)
	// Troubled returns items that could not be processed and are tried again later.
	Troubled(ctx context.Context, limit int) ([]job.TroubledItem, error)
}

// JobStore reads jobs, and deletes them.
type JobStore interface {
	Jobs(ctx context.Context, q query.Jobs) (query.JobPage, error)
	Job(ctx context.Context, name string) (api.Summary, error)
	// DeleteJob deletes a job with its runs, of which none may be active, because by asked for it, and returns how many they
	// were.
	DeleteJob(ctx context.Context, name, by string) (runs int64, err error)
	// Expected returns what is usual for jobs, by name; without names for all.
	Expected(ctx context.Context, names ...string) (map[string]*job.Expected, error)
	// GoodRunsBefore returns the last runs of the same job that succeeded and started before a run, the
	// latest first.
	GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error)
}

// SampleStore reads samples.
type SampleStore interface {
	// Samples returns samples of an attempt in the order of time, and SampledBytes the size of the parts
	// of its journal that contain samples.
	Samples(ctx context.Context, run string, attempt int, q query.Samples) (query.SampleSeries, error)
	SampledBytes(ctx context.Context, run string, attempt int) (int64, error)
}

// Config configures Runs.
type Config struct {
	httpio.Finder
	Store Store
	Now   func() time.Time
	// Ingest returns how many journal bytes and heartbeats this server has received, and how long the
	// last commit took.
	Ingest func() (bytes, beats uint64, lag time.Duration)
	// Notify wakes the live streams of a run.
	Notify func(run string)
	// Readers returns how many live streams are open.
	Readers func() int
	// Degraded returns a sentence for each thing that is impaired on this server.
	Degraded func() []string
	// HeavyRead waits for a place among the requests that read a lot. The context that it returns ends
	// when the request must end for another one.
	HeavyRead func(*http.Request) (context.Context, *shares.Place, error)
}

// Runs handles the requests about runs and jobs.
type Runs struct {
	Config
	profiles profiles // of good runs
	fleet    fleet
}

// New returns Runs.
func New(cfg Config) *Runs {
	return &Runs{Config: cfg, profiles: newProfiles(), fleet: fleet{at: cfg.Now()}}
}
