package health

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/health/rules"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// fakeQueue are the runs in the queue of a fakeStore, in order.
type fakeQueue struct {
	runs []queue.WaitingRun
	read int
}

func (s *fakeStore) Waiting(_ context.Context, after string, limit int, _ time.Time) (page []queue.WaitingRun, last string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from, _ := slices.BinarySearchFunc(s.queue.runs, after, func(w queue.WaitingRun, after string) int { return cmp.Or(cmp.Compare(w.Run, after), -1) })
	page = slices.Clone(s.queue.runs[from:min(from+limit, len(s.queue.runs))])
	s.queue.read += len(page)
	if len(page) == limit {
		last = page[limit-1].Run
	}
	return page, last, s.fail
}

func (s *fakeStore) FoundWaiting(context.Context, int, time.Time) (found []queue.WaitingRun, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range s.queue.runs {
		if len(w.Findings) > 0 {
			found = append(found, w)
		}
	}
	return found, s.fail
}

// wait puts a run of a job into the queue.
func (s *fakeStore) wait(run, name string) {
	s.set(func(s *fakeStore) {
		s.queue.runs = append(s.queue.runs, queue.WaitingRun{
			Run: run, Job: name, State: job.Queued, Since: time.Now(), Line: queue.Line{Job: name}, Supply: queue.Supply{Workers: 1, Matching: 1, Slots: 1}, AbleUntil: time.Now().Add(100 * time.Hour),
		})
	})
}

// waits are the runs of the queue that have a finding.
func (s *fakeStore) waits() (runs []string) {
	s.set(func(s *fakeStore) {
		for _, w := range s.queue.runs {
			if _, found := rules.FindingOf(w.Findings, policy.Waiting); found {
				runs = append(runs, w.Run)
			}
		}
	})
	return runs
}

func TestWaitingIsJudged(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		s.wait("1", "a")
		s.wait("2", "a")
		s.wait("3", "b")
		pass(s, time.Hour-time.Second)
		if got := s.waits(); len(got) > 0 {
			t.Errorf("before an hour: %v", got)
		}
		pass(s, waitingInterval+2*time.Second)
		if got := s.waits(); !slices.Equal(got, []string{"1", "3"}) { // 2 comes after 1
			t.Errorf("after an hour: %v", got)
		}
		s.set(func(s *fakeStore) {
			if len(s.outbox) != 2 || s.outbox[0].What != policy.Waiting {
				t.Errorf("people are notified of %+v", s.outbox)
			}
			s.queue.runs = s.queue.runs[1:] // 1 starts
		})
		pass(s, waitingInterval+2*time.Second)
		if got := s.waits(); !slices.Equal(got, []string{"2", "3"}) {
			t.Errorf("after the start of the first: %v", got)
		}
	})
}

// A server that was away, and one that judged before another one, wait for workers to ask.
func TestWaitingIsNotJudgedJustAfterAnOutage(t *testing.T) {
	watched(t, func(t *testing.T, s *fakeStore, _ *Monitor, _ func() string) {
		pass(s, 2*time.Minute)
		s.wait("1", "a")
		s.set(func(s *fakeStore) {
			s.queue.runs[0].Since = time.Now().Add(-3 * time.Hour)
			s.fail = context.DeadlineExceeded
		})
		pass(s, 10*time.Second)
		s.set(func(s *fakeStore) { s.fail = nil })
		pass(s, queue.WorkerGrace-waitingInterval)
		if got := s.waits(); len(got) > 0 {
			t.Errorf("just after an outage: %v", got)
		}
		pass(s, 3*waitingInterval)
		if got := s.waits(); len(got) != 1 {
			t.Errorf("later: %v", got)
		}
	})
}

// However many runs wait, a round reads a page of them.
func TestALongQueueIsJudgedInPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeStore()
		s.queue.runs = make([]queue.WaitingRun, 10*waitingLimit+1)
		for i := range s.queue.runs {
			name := fmt.Sprint("job", i/waitingLimit)
			s.queue.runs[i] = queue.WaitingRun{Run: fmt.Sprintf("%06d", i), Job: name, State: job.Queued, Since: time.Now().Add(-2 * time.Hour), Line: queue.Line{Job: name}, Supply: queue.Supply{Matching: 1}, AbleUntil: time.Now().Add(time.Hour)}
		}
		m := New(Config{Store: s})
		now := time.Now()
		most := 0
		for range 12 {
			s.queue.read = 0
			if err := m.judgeWaiting(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			most = max(most, s.queue.read)
			if err := m.judgeWaiting(t.Context(), now.Add(waitingInterval-1)); err != nil {
				t.Fatal(err)
			}
			now = now.Add(waitingInterval)
		}
		if got := s.waits(); len(got) != 11 || most != waitingLimit {
			t.Errorf("%d runs of 11 jobs were found, and %d read at once: %v", len(got), most, got)
		}
	})
}
