// Package runs answers what is known of runs and jobs: lists, counts, figures over time, hosts.
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
)

// Store is what the calls read and delete. Methods that name a run or job return
// *query.NotFoundError when it is not there.
type Store interface {
	RunStore
	JobStore
	SampleStore
}

// RunStore reads runs.
type RunStore interface {
	Run(ctx context.Context, id string) (job.Run, error)
	// RunAttempt is Run for one attempt, which may not be the last.
	RunAttempt(ctx context.Context, id string, attempt int) (job.Run, error)
	Runs(ctx context.Context, q query.Runs) (query.RunPage, error)
	// RunCounts counts runs by state and health; Limit and Cursor play no part.
	RunCounts(ctx context.Context, q query.Runs) (query.RunCounts, error)
	// Events returns changes after an id, oldest first; of all runs when run is empty.
	Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error)
	// Overview returns what the first view of all runs and jobs shows.
	Overview(ctx context.Context, q query.Overview) (job.Overview, error)
	// LiveAgents returns the active attempts with their last heartbeats.
	LiveAgents(ctx context.Context) ([]lease.LiveAgent, error)
	// Troubled returns items that could not be done and are tried again later.
	Troubled(ctx context.Context, limit int) ([]job.TroubledItem, error)
}

// JobStore reads jobs, and deletes them.
type JobStore interface {
	Jobs(ctx context.Context, q query.Jobs) (query.JobPage, error)
	Job(ctx context.Context, name string) (job.Summary, error)
	// DeleteJob deletes a job with its runs, of which none may be active.
	DeleteJob(ctx context.Context, name string) (runs int64, err error)
	// Expected returns what is usual for jobs now, by name; without names for all.
	Expected(ctx context.Context, names ...string) (map[string]*job.Expected, error)
	// GoodRunsBefore returns runs of the same job that succeeded and started before a run, the
	// last ones first.
	GoodRunsBefore(ctx context.Context, run job.Run, limit int) ([]job.Run, error)
}

// SampleStore reads samples.
type SampleStore interface {
	// Samples returns samples of an attempt in order of time, and SampledBytes how long the
	// parts of its journal are that hold any.
	Samples(ctx context.Context, run string, attempt int, q query.Samples) (query.SampleSeries, error)
	SampledBytes(ctx context.Context, run string, attempt int) (int64, error)
}

// Config is what Runs is made of.
type Config struct {
	httpio.Finder
	Store Store
	Now   func() time.Time
	// Ingest returns how many journal bytes and heartbeats this server has taken, and how long
	// the last commit took.
	Ingest func() (bytes, beats uint64, lag time.Duration)
	// Readers counts the live streams that are open.
	Readers func() int
	// Degraded says what works less well than it should.
	Degraded func() []string
	// HeavyRead waits for a place among those who read a lot. The context that it returns ends
	// when the reader has to make room.
	HeavyRead func(*http.Request) (context.Context, *shares.Place, error)
}

// Runs answers the calls.
type Runs struct {
	Config
	profiles profiles // of good runs
	fleet    fleet
}

// New makes Runs.
func New(of Config) *Runs { return &Runs{Config: of, profiles: newProfiles()} }
