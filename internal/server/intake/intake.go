// Package intake takes what agents send, journals and heartbeats, and answers once it is durable.
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

// Store makes durable what agents send.
type Store interface {
	// Ingest commits a group of appends and beats in one transaction and returns when
	// they are durable. Results are in the order of the arguments. The error is for
	// the group as a whole: nothing of it was committed.
	Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error)
	// Renew makes beats durable that need no transaction, because their owners are known, and
	// returns the answers to them; nil for a beat that Ingest has to take. It does not wait for
	// what Ingest does with other runs.
	Renew(beats []lease.Beat) []*lease.BeatResult
	// JournalSize is how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
	// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
	// beginning with the one that holds journal offset from (or the first after it).
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
	// Installation is the id of the database, a UUID that all its servers share.
	Installation() string
}

// Followers are those who follow runs live.
type Followers interface {
	// Notify wakes those who follow a run.
	Notify(run string)
	// Watched reports whether somebody follows a run.
	Watched(run string) bool
}

// Config is what an Intake is made of.
type Config struct {
	httpio.Replies
	Store Store
	Now   func() time.Time
	// BodyMemory bounds the bytes of journal bodies held in memory, over all requests.
	BodyMemory int64
	// BodyPause is how long a client may send next to nothing in the middle of a body, and
	// BodyTime how long one body may take in all.
	BodyPause, BodyTime time.Duration
	// BeatsPerSecond is how many heartbeats are taken from the whole fleet before agents are
	// asked to beat less often.
	BeatsPerSecond float64
	// NewJobs is how many jobs of new names each token, or address without one, may begin
	// within an hour; 0 for any number.
	NewJobs int

	Agents    *conns.Agents
	Followers Followers
	// Claim makes sure that who sent a request may write to a run.
	Claim   func(ctx context.Context, run string) error
	Metrics *metrics.Set
	// Changed counts changes of runs.
	Changed func([]job.RunEvent)
}

// Intake takes appends and heartbeats.
type Intake struct {
	Config
	committer *committer
	bodies    *shares.Shares // memory
	pace      *pacer
	counters  *counters
	pending   pendingRequests
}

// Start makes an intake and starts its committer, which Close ends.
func Start(of Config) *Intake {
	s := &Intake{
		Config: of, pace: newPacer(of.BeatsPerSecond), counters: newCounters(of.Metrics),
		bodies: shares.New(shares.Limits{
			All: of.BodyMemory, Token: of.BodyMemory / 4, Address: of.BodyMemory / 4, Silence: bodySilence,
		}, time.Now),
	}
	s.committer = newCommitter(of.Store, callbacks{s.appendCommitted, s.beatCommitted}, s.counters, of.Now, of.NewJobs)
	of.Metrics.NewGauge("stint_body_bytes", func() float64 { return float64(s.bodies.Used()) })
	of.Metrics.NewGauge("stint_queue_bytes", func() float64 { return float64(s.committer.queued()) })
	of.Metrics.NewGauge("stint_heartbeat_wait_seconds", func() float64 { return s.Behind().Seconds() })
	return s
}

// Append waits until a is durable or refused.
func (s *Intake) Append(ctx context.Context, a index.Append) (index.Appended, error) {
	return s.committer.append(ctx, a)
}

// Beat waits until b is durable.
func (s *Intake) Beat(ctx context.Context, b lease.Beat) (lease.BeatResult, error) {
	return s.committer.beat(ctx, b)
}

// Close takes nothing more and waits until everything that was accepted is durable and answered.
// When ctx ends first, what is left is answered with an error.
func (s *Intake) Close(ctx context.Context) error { return s.committer.close(ctx) }

// Turn returns when the loop that makes appends and heartbeats durable last did something or found
// nothing to do, and lets it turn once more.
func (s *Intake) Turn() time.Time { return s.committer.turn() }

// Behind returns how long the heartbeat has waited that has waited longest to be stored.
func (s *Intake) Behind() time.Duration { return s.committer.behind() }

// Failing reports whether so many commits in a row have failed that it is the database or its disk.
func (s *Intake) Failing() bool { return s.committer.failing() }

// Stored returns when something that an agent sent was last stored; zero for never.
func (s *Intake) Stored() time.Time { return s.committer.lastStored() }

// Arrived returns when the last heartbeat of an attempt arrived that is not stored yet, or
// could not be, or the last request that is pending; zero for none.
func (s *Intake) Arrived(run string, attempt int) time.Time {
	arrived, pending := s.committer.arrivals.last(run, attempt), s.pending.last(run, attempt)
	if pending.After(arrived) {
		return pending
	}
	return arrived
}

// Pending notes a request of an attempt's agent that waits for the database, until end is called.
func (s *Intake) Pending(run string, attempt int) (end func()) {
	return s.pending.begin(run, attempt, s.Now())
}

// Ingested returns how many journal bytes and heartbeats were taken, and how long the last commit
// took.
func (s *Intake) Ingested() (bytes, beats uint64, lag time.Duration) {
	return s.counters.appendBytes.Get(), s.counters.beats.Get(), time.Duration(s.counters.commitTook.Load())
}
