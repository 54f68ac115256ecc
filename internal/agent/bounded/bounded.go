// Package bounded limits waits for calls that nothing can interrupt: a file system on a dead
// network may never answer.
package bounded

import "time"

// Call returns what f returns. ok is false when that takes longer than limit: f then goes on in
// a goroutine that ends with it, and what it returns is dropped.
func Call[T any](limit time.Duration, f func() T) (result T, ok bool) {
	returned := make(chan T, 1)
	go func() { returned <- f() }()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case result = <-returned:
		return result, true
	case <-timer.C:
		return result, false
	}
}

// Do is Call for an f that returns nothing.
func Do(limit time.Duration, f func()) (ok bool) {
	_, ok = Call(limit, func() struct{} { f(); return struct{}{} })
	return ok
}
