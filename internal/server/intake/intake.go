// Package intake accepts what agents send, journals and heartbeats, and responds once it is durable.
// The requests wait for the committer (committer.go), which stores them in groups.
package intake

import (
	"context"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/metrics"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// Store is the part of the database that makes durable what agents send.
type Store interface {
	// Ingest commits a group of appends and beats in one transaction and returns when
	// they are durable. Results are in the order of the arguments. After an error nothing of the
	// group is committed.
	Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error)
	// Renew makes beats durable that need no transaction, because their owners are known, and
	// returns their results; nil for a beat that needs Ingest. It does not wait for an Ingest of
	// other runs.
	Renew(beats []lease.Beat) []*lease.BeatResult
	// JournalSize returns how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
	// WholeSize returns the size of an attempt's journal if it is whole; else 0.
	WholeSize(ctx context.Context, run string, attempt int) (int64, error)
	// IsSubmitted reports whether a run was submitted.
	IsSubmitted(ctx context.Context, run string) (bool, error)
	// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
	// beginning with the one that holds journal offset from (or the first after it).
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
	// SettingsLeft names what is set for a job and not for another one.
	SettingsLeft(ctx context.Context, job, other string) ([]string, error)
	// Installation returns the id of the database, a UUID that all its servers share.
	Installation() string
}

// Followers are the live streams of runs.
type Followers interface {
	// Notify wakes the streams of a run.
	Notify(run string)
	// Watched reports whether a run has a stream.
	Watched(run string) bool
}

// Config configures an Intake.
type Config struct {
	httpio.ErrorWriter
	Store Store
	Now   func() time.Time
	// BodyMemory is the most memory, in bytes, for the journal bodies of all requests.
	BodyMemory int64
	// BodyStallTimeout is how long the client of a journal body may send next to nothing, and BodyTimeout how
	// long it may take for the whole body.
	BodyStallTimeout, BodyTimeout time.Duration
	// BeatsPerSecond is how many heartbeats of all agents together are accepted before agents are
	// asked to send them less often.
	BeatsPerSecond float64
	// NewJobs is how many jobs of new names each token, or address without one, may create
	// within an hour; 0 for any number.
	NewJobs int

	Agents    *conns.Agents
	Followers Followers
	// Claim returns an error unless the sender of a request may write to a run.
	Claim   func(ctx context.Context, run string) error
	Metrics *metrics.Set
	// Changed is called with the changes of runs that were committed.
	Changed func([]job.RunEvent)
}

// Intake accepts appends and heartbeats.
type Intake struct {
	Config
	committer *committer
	bodies    *shares.Shares // memory of bodies
	pace      *pacer
	counters  *counters
	pending   pendingRequests
}

// New returns an Intake. What it accepts waits until Run is called.
func New(cfg Config) *Intake {
	s := &Intake{
		Config: cfg, pace: newPacer(cfg.BeatsPerSecond), counters: newCounters(cfg.Metrics),
		bodies: shares.New(shares.Limits{
			All: cfg.BodyMemory, Token: cfg.BodyMemory / 4, Address: cfg.BodyMemory / 4, Silence: bodyStallLimit,
		}, time.Now),
	}
	s.committer = newCommitter(cfg.Store, callbacks{s.appendCommitted, s.beatCommitted}, s.counters, cfg.Now, cfg.NewJobs)
	cfg.Metrics.NewGauge("stint_body_bytes", func() float64 { return float64(s.bodies.Used()) })
	cfg.Metrics.NewGauge("stint_queue_bytes", func() float64 { return float64(s.committer.queuedBytes()) })
	cfg.Metrics.NewGauge("stint_heartbeat_wait_seconds", func() float64 { return s.Behind().Seconds() })
	return s
}

// Run makes durable what is accepted. It returns when Close was called, or ctx has ended, and
// everything that was accepted is answered. When ctx ends first, what is not durable is answered
// with an error.
func (s *Intake) Run(ctx context.Context) { s.committer.run(ctx) }

// Append waits until a is durable or refused.
func (s *Intake) Append(ctx context.Context, a index.Append) (index.Appended, error) {
	return s.committer.append(ctx, a)
}

// Beat waits until b is durable.
func (s *Intake) Beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error) {
	return s.committer.beat(ctx, b)
}

// Close refuses further entries and waits until Run has made durable and answered everything that
// was accepted. When ctx ends first, the other entries are answered with an error, and it returns one.
func (s *Intake) Close(ctx context.Context) error { return s.committer.close(ctx) }

// Turn returns when the slower of the committer's two loops last finished a round, and wakes both.
func (s *Intake) Turn() time.Time { return s.committer.turn() }

// Behind returns for how long the oldest heartbeat that is not stored has waited.
func (s *Intake) Behind() time.Duration { return s.committer.behind() }

// Failing reports whether so many commits in a row have failed that the database or its disk is the
// cause.
func (s *Intake) Failing() bool { return s.committer.failing() }

// Stored returns when something that an agent sent was last stored; zero for never.
func (s *Intake) Stored() time.Time { return s.committer.lastStored() }

// Arrived returns when the last heartbeat of an attempt arrived that is not stored yet, or
// could not be stored, or the last request that is pending; zero for none.
func (s *Intake) Arrived(run string, attempt int) time.Time {
	arrived, pending := s.committer.arrivals.last(run, attempt), s.pending.last(run, attempt)
	if pending.After(arrived) {
		return pending
	}
	return arrived
}

// Pending records a request of an attempt's agent that waits for the database, until end is called.
func (s *Intake) Pending(run string, attempt int) (end func()) {
	return s.pending.begin(run, attempt, s.Now())
}

// Ingested returns how many journal bytes and heartbeats were stored, and how long the last commit
// took.
func (s *Intake) Ingested() (bytes, beats uint64, lag time.Duration) {
	return s.counters.appendBytes.Get(), s.counters.beats.Get(), time.Duration(s.counters.commitTook.Load())
}
