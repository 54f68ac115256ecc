package db

import "sync"

// Signals are those of a database, within this process.
type Signals struct {
	// Ready is raised when a run in the queue can be given to a worker.
	Ready Signal
	// Match is raised when the queue is to be looked at: a run may have become ready.
	Match Signal

	id    string // of this process, for ListenReady
	mu    sync.Mutex
	ended []string
}

// AddEnded notes runs that have ended and for which others wait, and raises Match.
func (s *Signals) AddEnded(runs ...string) {
	s.mu.Lock()
	s.ended = append(s.ended, runs...)
	s.mu.Unlock()
	s.Match.Raise()
}

// TakeEnded returns the runs that were noted since the last call.
func (s *Signals) TakeEnded() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ended := s.ended
	s.ended = nil
	return ended
}

// Signal wakes those who wait for something that was committed.
type Signal struct {
	mu   sync.Mutex
	next chan struct{}
}

// Raised returns a channel that is closed when the signal is raised the next time. Get it before
// you check the condition that you wait for, so that no change is missed.
func (s *Signal) Raised() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == nil {
		s.next = make(chan struct{})
	}
	return s.next
}

// Raise wakes all who wait.
func (s *Signal) Raise() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next != nil {
		close(s.next)
		s.next = nil
	}
}
