// Package logs answers with what runs printed: logs, parts of them, searches, and whole journals.
package logs

import (
	"context"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
)

// Store is what is read.
type Store interface {
	logs.Store
	// JournalSize is how many bytes of an attempt's journal are durable; 0 if none.
	JournalSize(ctx context.Context, run string, attempt int) (int64, error)
}

// Config is what Logs is made of.
type Config struct {
	httpio.Finder
	Store Store
	// WritePause is how long a client may take to accept a piece.
	WritePause time.Duration
	// SearchTime is how long one search may take, and Searches how many run at once.
	SearchTime time.Duration
	Searches   int
	// Stopping is closed when the server begins to shut down.
	Stopping <-chan struct{}
	// Turns are those of who reads logs.
	Turns *shares.Shares
	// Claim makes sure that who sent a request may write to a run.
	Claim func(ctx context.Context, run string) error
}

// Logs answers the calls.
type Logs struct {
	Config
	searches *shares.Shares // places for searches and other heavy reads under way
}

// New makes Logs.
func New(of Config) *Logs {
	return &Logs{Config: of, searches: shares.New(shares.Limits{
		All: int64(of.Searches), Token: searchShare, Address: searchShare, Silence: searchSilence,
	}, time.Now)}
}

// stops reports whether the server is shutting down.
func (s *Logs) stops() bool {
	select {
	case <-s.Stopping:
		return true
	default:
		return false
	}
}
