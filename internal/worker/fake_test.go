package worker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/job"
)

// runID is the id of a run.
func runID(n int) string { return fmt.Sprintf("01890a5d-ac96-774b-bcce-b3020000%04d", n) }

// claimOf is the claim of attempt 1 of a run.
func claimOf(n int) job.Claim {
	return job.Claim{
		Claim: fmt.Sprintf("c%d", n), Token: "secret", Run: runID(n), Attempt: 1, Job: "test", Definition: "d1",
		Spec: job.Spec{Version: job.SpecVersion, Args: []string{"true"}}, LeftMS: 15000,
	}
}

// fakeSystem has processes that end when the test says so.
type fakeSystem struct {
	mu      sync.Mutex
	next    int
	alive   map[int]uint64
	reasons map[int]string
	begun   []Settings
	stopped []int
	fails   error
}

func newSystem() *fakeSystem {
	return &fakeSystem{next: 100, alive: map[int]uint64{}, reasons: map[int]string{}}
}

func (f *fakeSystem) start(s Settings) (int, uint64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return 0, 0, f.fails
	}
	f.next++
	f.alive[f.next] = uint64(f.next) * 10
	f.begun = append(f.begun, s)
	return f.next, f.alive[f.next], nil
}

func (f *fakeSystem) started(pid int) uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alive[pid]
}

func (f *fakeSystem) ended(pid int, started uint64) (bool, string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.alive[pid] == 0 || f.alive[pid] != started, f.reasons[pid]
}

func (f *fakeSystem) stop(pid int, _ uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stopped = append(f.stopped, pid)
	return nil
}

func (f *fakeSystem) free() (int64, *float64) {
	cpus := 1.5
	return 1 << 30, &cpus
}

func (f *fakeSystem) memory() int64 { return 4 << 30 }

func (f *fakeSystem) close() {}

func (f *fakeSystem) end(pid int, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.alive, pid)
	f.reasons[pid] = reason
}

func (f *fakeSystem) pids() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.alive))
}

// fakeServer gives runs to a worker to the rules of the wire: the same claim id gets the same runs.
type fakeServer struct {
	mu       sync.Mutex
	queue    []job.Claim
	given    map[string][]job.Claim // by claim id
	requests []job.ClaimRequest
	released []string // "claim: reason"
	err      error
	lose     int // how many answers are lost
	draining string
	stopBy   *time.Time
	skew     time.Duration // of the server's clock
	changed  chan struct{}
}

func newServer(n ...int) *fakeServer {
	s := &fakeServer{given: map[string][]job.Claim{}, changed: make(chan struct{})}
	for _, i := range n {
		s.queue = append(s.queue, claimOf(i))
	}
	return s
}

func (s *fakeServer) touch() {
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *fakeServer) set(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
	s.touch()
}

func (s *fakeServer) Claim(ctx context.Context, worker string, r job.ClaimRequest) (job.ClaimReply, error) {
	s.set(func() { s.requests = append(s.requests, r) })
	end := time.NewTimer(time.Duration(r.WaitMS) * time.Millisecond)
	defer end.Stop()
	for over := false; ; {
		s.mu.Lock()
		if s.err != nil {
			defer s.mu.Unlock()
			return job.ClaimReply{}, s.err
		}
		claims, known := s.given[r.ClaimID]
		if n := min(r.Free, len(s.queue)); !known && n > 0 {
			claims, s.queue = s.queue[:n:n], s.queue[n:]
			s.given[r.ClaimID] = claims
		}
		if len(claims) > 0 || over {
			defer s.mu.Unlock()
			if s.lose > 0 {
				s.lose--
				return job.ClaimReply{}, errors.New("the reply was lost")
			}
			return job.ClaimReply{
				ClaimID: r.ClaimID, Worker: worker, Claims: claims, Draining: s.draining, StopBy: s.stopBy, Now: time.Now().Add(s.skew),
			}, nil
		}
		changed := s.changed
		s.mu.Unlock()
		select {
		case <-changed:
		case <-end.C:
			over = true
		case <-ctx.Done():
			return job.ClaimReply{}, ctx.Err()
		}
	}
}

func (s *fakeServer) ReleaseClaim(_ context.Context, _, claim, reason string) error {
	s.set(func() { s.released = append(s.released, claim+": "+reason) })
	return nil
}

func (s *fakeServer) last() job.ClaimRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

func (s *fakeServer) gaveBack() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.released)
}
