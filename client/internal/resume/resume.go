// Package resume reads replies that may be interrupted, logs and searches, and requests the rest of
// them again.
package resume

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"
)

const (
	// resumeTime is how long an interrupted log or search is requested again while nothing more
	// arrives.
	resumeTime = time.Minute
	// The pause between two tries grows from the first to the last.
	FirstPause = 200 * time.Millisecond
	LastPause  = 5 * time.Second
)

// Source is the server.
type Source interface {
	// Get sends a request for a path with a query, and returns a reply that is a success.
	Get(ctx context.Context, path string, header http.Header) (*http.Response, error)
	// Foreign returns the error of a reply that is not one of a Stint server, and Broken that of a
	// connection that was interrupted.
	Foreign(resp *http.Response, why string) error
	Broken(err error) error
}

// runPath is the path of a run.
func runPath(ref string) string { return "/api/v1/runs/" + url.PathEscape(ref) }

// StopError carries an error of the caller's own through code that repeats requests.
type StopError struct{ Err error }

func (e *StopError) Error() string { return e.Err.Error() }

// BrokenOffError is the error of a reply that was interrupted.
type BrokenOffError struct{ Err error }

func (e *BrokenOffError) Error() string { return e.Err.Error() }
func (e *BrokenOffError) Unwrap() error { return e.Err }

// CallersError takes the caller's own error out of the one that carried it.
func CallersError(err error) error {
	var stop *StopError
	if errors.As(err, &stop) {
		return stop.Err
	}
	return err
}

// Do calls a function again after a temporary error, until it succeeds or returns another
// error, or nothing more has arrived for a while. more reports whether something arrived.
func Do(ctx context.Context, err error, canResume func(error) bool, repeat func() (more bool, err error)) error {
	var broken *BrokenOffError
	if !errors.As(err, &broken) {
		return err
	}
	pause, last := time.Duration(0), time.Now() // at once, the first time
	for canResume(err) && time.Since(last) < resumeTime && Sleep(ctx, pause) {
		var more bool
		more, err = repeat()
		pause = min(max(pause*2, FirstPause), LastPause)
		if more {
			pause, last = 0, time.Now()
		}
	}
	return err
}

// Sleep waits, and returns false if ctx ends before.
func Sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
