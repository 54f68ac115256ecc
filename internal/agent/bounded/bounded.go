// Package bounded limits waits for calls that nothing can interrupt: a file system on a dead
// network may never answer.
package bounded

import (
	"fmt"
	"time"
)

// NoAnswerError reports that a call did not return in time.
type NoAnswerError struct{ Limit time.Duration }

func (e *NoAnswerError) Error() string { return fmt.Sprintf("no answer within %s", e.Limit) }

// Call returns what f returns, or a *NoAnswerError when that takes longer than limit: f then
// goes on in a goroutine that ends with it, and what it returns is dropped.
func Call[T any](limit time.Duration, f func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	returned := make(chan result, 1)
	go func() {
		value, err := f()
		returned <- result{value, err}
	}()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case r := <-returned:
		return r.value, r.err
	case <-timer.C:
		var none T
		return none, &NoAnswerError{limit}
	}
}

// Do is Call for an f that returns nothing; it reports whether f has returned.
func Do(limit time.Duration, f func()) bool {
	_, err := Call(limit, func() (struct{}, error) { f(); return struct{}{}, nil })
	return err == nil
}
