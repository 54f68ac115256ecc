package health

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// hangingStore is a fake store with runs that wait for a diagnosis. Their logs are in a
// bucket that does not answer, but for those that are here.
type hangingStore struct {
	*fakeStore
	waiting   []string
	here      map[string]bool
	down      error                // Undiagnosed fails
	panics    map[string]bool      // runs whose samples cannot be read without a panic
	failed    map[string]time.Time // until when a run rests
	failures  map[string][]error
	stored    map[string]time.Time
	diagnoses map[string]*job.Diagnosis
	reads     int // under way
	most      int
}

func newHangingStore(waiting ...string) *hangingStore {
	return &hangingStore{
		fakeStore: newFakeStore(), waiting: waiting, here: map[string]bool{}, failed: map[string]time.Time{},
		failures: map[string][]error{}, stored: map[string]time.Time{}, diagnoses: map[string]*job.Diagnosis{},
	}
}

func (s *hangingStore) Undiagnosed(_ context.Context, limit int) (runs []job.Run, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range s.waiting {
		if !s.failed[id].After(time.Now()) && len(runs) < limit {
			runs = append(runs, job.Run{ID: id, Attempt: 1, State: job.Failed, Outcome: &job.Outcome{State: job.Failed, Reason: job.OutOfMemory, OOM: &job.OOM{}}})
		}
	}
	return runs, s.down
}

func (s *hangingStore) DiagnosisFailed(_ context.Context, run string, cause error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failures[run] = append(s.failures[run], cause)
	s.failed[run] = time.Now().Add(job.TroublePause(len(s.failures[run])))
}

func (s *hangingStore) StoreDiagnosis(_ context.Context, of job.Run, d *job.Diagnosis) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting = slices.DeleteFunc(s.waiting, func(id string) bool { return id == of.ID })
	s.stored[of.ID], s.diagnoses[of.ID] = time.Now(), d
	return d != nil, nil
}

func (s *hangingStore) Lease(_ context.Context, run string) (lease.Lease, error) {
	return lease.Lease{Run: run, Attempt: 1}, nil
}

func (s *hangingStore) LastSamples(_ context.Context, run string, _, _ int) ([]job.Sample, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.panics[run] {
		var none []job.Sample
		return none[1:2], nil
	}
	return nil, nil
}

func (s *hangingStore) LastBlocks(context.Context, string, int, int) ([]index.BlockHead, error) {
	return []index.BlockHead{{Start: 20, Size: 1}}, nil
}

func (s *hangingStore) GoodRunsBefore(context.Context, job.Run, int) ([]job.Run, error) {
	return nil, nil
}

func (s *hangingStore) BlockData(ctx context.Context, run string, _ int, _ int64) ([]byte, error) {
	s.mu.Lock()
	here := s.here[run]
	s.reads++
	s.most = max(s.most, s.reads)
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reads--
	}()
	if here {
		return nil, &query.NotFoundError{What: "byte"}
	}
	<-ctx.Done()
	return nil, fmt.Errorf("read from the bucket: %w", ctx.Err())
}

// monitored runs a monitor over a store inside a bubble of fake time.
func monitored(t *testing.T, s Store, test func(m *Monitor)) {
	t.Helper()
	monitoredWithLog(t, s, io.Discard, test)
}

// monitoredWithLog is monitored with a place for what is logged.
func monitoredWithLog(t *testing.T, s Store, log io.Writer, test func(m *Monitor)) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	m := New(Config{Store: s, Log: slog.New(slog.NewTextHandler(log, nil))})
	var monitor sync.WaitGroup
	monitor.Go(func() { m.Run(ctx) })
	synctest.Wait()
	test(m)
	cancel()
	monitor.Wait()
}

// A bucket that hangs for ten minutes while runs wait for a diagnosis delays no verdict: a
// killed agent is lost in time, and so is one that falls silent.
func TestABucketThatHangsDelaysNoVerdict(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var waiting []string
		for i := range 30 {
			waiting = append(waiting, fmt.Sprint("failed", i))
		}
		s := newHangingStore(waiting...)
		monitored(t, s, func(m *Monitor) {
			pass(s.fakeStore, 70*time.Second, "a", "b")
			outages := m.Extension().Outages
			for range 10 {
				s.beat("killed")
				<-time.After(2 * time.Second)
				began := time.Now()
				m.Disconnected(cut("killed", 1))
				for s.state("killed") != "lost" {
					if time.Since(began) > 10*time.Second {
						t.Fatal("a killed agent is not lost")
					}
					<-time.After(50 * time.Millisecond)
					synctest.Wait()
				}
				if took := time.Since(began); took > 1500*time.Millisecond {
					t.Errorf("a killed agent was lost after %s", took)
				}
				pass(s.fakeStore, time.Minute, "a", "b")
			}
			pass(s.fakeStore, 14*time.Second, "b")
			want(t, s.fakeStore, "a", policy.Quiet)
			pass(s.fakeStore, 3*time.Second, "b")
			want(t, s.fakeStore, "a", "lost")
			if m.Extension().Outages != outages {
				t.Errorf("leases were extended %d times", m.Extension().Outages-outages)
			}
		})
		if s.most != maxDiagnoses {
			t.Errorf("%d diagnoses read at once, want %d", s.most, maxDiagnoses)
		}
	})
}

// A diagnosis that cannot be made keeps its mark and is tried again; those behind it have
// their turn, and once the bucket answers all have one.
func TestDiagnosesAreTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHangingStore("bad0", "bad1", "bad2", "bad3", "bad4", "good")
		s.here["good"] = true
		monitored(t, s, func(*Monitor) {
			<-time.After(2*diagnosisTimeout + 3*time.Second)
			synctest.Wait()
			s.mu.Lock()
			if s.stored["good"].IsZero() {
				t.Error("the run behind those that cannot be diagnosed has no diagnosis")
			}
			for id, failures := range s.failures {
				if !errors.Is(failures[0], context.DeadlineExceeded) {
					t.Errorf("run %s: %v", id, failures[0])
				}
			}
			if len(s.failures) != 5 || len(s.waiting) != 5 {
				t.Errorf("%d runs failed and %d wait, want 5", len(s.failures), len(s.waiting))
			}
			s.down = errors.New("no connection")
			s.mu.Unlock()
			<-time.After(time.Minute)
			s.mu.Lock()
			s.down = nil
			for _, id := range s.waiting {
				s.here[id] = true
			}
			s.mu.Unlock()
			<-time.After(2 * time.Minute)
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.stored) != 6 {
				t.Errorf("%d of 6 runs have a diagnosis", len(s.stored))
			}
		})
	})
}

// A diagnosis that panics ends neither the server nor the diagnoses of other runs. It counts as one
// that failed, is logged once, and is given up when it panics again.
func TestDiagnosesThatPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHangingStore("bad", "good")
		s.panics = map[string]bool{"bad": true}
		s.here["good"] = true
		var log bytes.Buffer
		monitoredWithLog(t, s, &log, func(*Monitor) {
			<-time.After(3 * time.Second)
			synctest.Wait()
			s.mu.Lock()
			if s.stored["good"].IsZero() || !s.stored["bad"].IsZero() || len(s.failures["bad"]) != 1 {
				t.Errorf("after the first panic: stored %v, failures %v", s.stored, s.failures)
			}
			s.mu.Unlock()
			<-time.After(time.Hour)
			synctest.Wait()
		})
		if s.stored["bad"].IsZero() || s.diagnoses["bad"] != nil || len(s.failures["bad"]) != 1 || len(s.failures["good"]) != 0 {
			t.Errorf("at the end: stored %v, diagnosis %v, failures %v", s.stored, s.diagnoses["bad"], s.failures)
		}
		if text := log.String(); strings.Count(text, "panicked") != 1 || !strings.Contains(text, "run=bad") || !strings.Contains(text, "LastSamples") {
			t.Errorf("the log does not say once what panicked and where:\n%s", text)
		}
	})
}

// A server that does not judge diagnoses nothing, and its end breaks off what is under way
// without counting it as a failure.
func TestDiagnosesEndWithTheMonitor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newHangingStore("a")
		s.follows = true
		monitored(t, s, func(*Monitor) {
			<-time.After(time.Minute)
			synctest.Wait()
			if s.most != 0 {
				t.Error("a server that does not judge reads logs")
			}
			s.set(func(s *fakeStore) { s.follows = false })
			<-time.After(3 * time.Second)
		})
		if s.most != 1 || len(s.failures) != 0 {
			t.Errorf("%d reads, failures %v", s.most, s.failures)
		}
	})
}
