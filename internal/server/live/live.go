// Package live serves live streams of runs as server-sent events. A commit wakes the streams of its run
// (broker.go); each stream then reads what is new from the store (run.go, follow.go, all.go), and shares
// what it reads with the other streams (cache.go, share.go).
package live

import (
	"context"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// Store is the part of the database that live streams read.
type Store interface {
	httpio.RunStore
	// JournalSize returns how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
	// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
	// beginning with the one that holds journal offset from (or the first after it).
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlocksFromLine is like Blocks, beginning with the block in which a line begins.
	BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
	// Events returns the changes after an id, oldest first; of all runs if run is empty.
	Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error)
	LastEventID(ctx context.Context) (int64, error)
	KnowsEventID(ctx context.Context, id int64) (bool, error)
}

// Config configures Streams.
type Config struct {
	httpio.Finder
	Store  Store
	Broker *Broker
	// WriteTimeout is how long a client may take to accept a part of a stream.
	WriteTimeout time.Duration
	// Stopping is closed when the server begins to shut down.
	Stopping <-chan struct{}
	// Turns are the turns of the requests that read logs.
	Turns *shares.Shares
}

// Streams handles the requests for live streams.
type Streams struct {
	Config
	open *shares.Shares // places for live streams
}

// New returns Streams.
func New(cfg Config) *Streams {
	return &Streams{Config: cfg, open: shares.New(shares.Limits{All: maxStreams, Token: maxStreams / 4, Address: maxStreams / 4}, time.Now)}
}
