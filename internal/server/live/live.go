// Package live lets clients follow runs: it wakes them when something was committed, and sends them
// what is new as server-sent events.
package live

import (
	"context"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

// Store is what live streams read.
type Store interface {
	httpio.RunStore
	// JournalSize is how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
	// Blocks returns the heads of up to limit blocks of an attempt's journal, in order,
	// beginning with the one that holds journal offset from (or the first after it).
	Blocks(ctx context.Context, run string, attempt int, from int64, limit int) ([]index.BlockHead, error)
	// BlocksFromLine is the same, beginning with the block in which line begins.
	BlocksFromLine(ctx context.Context, run string, attempt int, line int64, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
	// Events returns changes after an id, oldest first; of all runs when run is empty.
	Events(ctx context.Context, run string, after int64, limit int) ([]job.RunEvent, error)
	LastEventID(ctx context.Context) (int64, error)
	KnowsEventID(ctx context.Context, id int64) (bool, error)
}

// Config is what Streams are made of.
type Config struct {
	httpio.Finder
	Store  Store
	Broker *Broker
	// WritePause is how long a client may take to accept a piece.
	WritePause time.Duration
	// Stopping is closed when the server begins to shut down.
	Stopping <-chan struct{}
	// Turns are those of who reads logs.
	Turns *shares.Shares
}

// Streams answers the calls.
type Streams struct {
	Config
	open *shares.Shares // places for live streams
}

// New makes Streams.
func New(of Config) *Streams {
	return &Streams{Config: of, open: shares.New(shares.Limits{All: maxStreams, Token: maxStreams / 4, Address: maxStreams / 4}, time.Now)}
}
