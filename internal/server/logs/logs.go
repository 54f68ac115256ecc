// Package logs serves the output of runs: logs and parts of them (log.go, exact.go), searches in logs
// (search.go), and journals (journal.go).
package logs

import (
	"context"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

// Store is the part of the database that the handlers read.
type Store interface {
	logs.Store
	// JournalSize returns how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
}

// Config configures Logs.
type Config struct {
	httpio.Finder
	Store Store
	// WriteTimeout is how long a client may take to accept a part of a response.
	WriteTimeout time.Duration
	// SearchTimeout is how long one search may take, and MaxSearches how many run at once.
	SearchTimeout time.Duration
	MaxSearches   int
	// Stopping is closed when the server begins to shut down.
	Stopping <-chan struct{}
	// Turns are the turns of the requests that read logs.
	Turns *shares.Shares
	// MayReadBack returns an error unless the caller of a request may read the journal of an attempt that it writes.
	MayReadBack func(ctx context.Context, run string, attempt int) error
}

// Logs handles the requests for logs and journals.
type Logs struct {
	Config
	searches *shares.Shares // places for searches and other heavy reads
}

// New returns Logs.
func New(cfg Config) *Logs {
	return &Logs{Config: cfg, searches: shares.New(shares.Limits{
		All: int64(cfg.MaxSearches), Token: maxSearchesOfOwner, Address: maxSearchesOfOwner, Silence: searchStallLimit,
	}, time.Now)}
}

// isStopping reports whether the server is shutting down.
func (s *Logs) isStopping() bool {
	select {
	case <-s.Stopping:
		return true
	default:
		return false
	}
}
