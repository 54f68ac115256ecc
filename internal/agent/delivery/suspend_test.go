package delivery

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/job"
)

// beatServer keeps the beats and answers them when it is let.
type beatServer struct {
	*fakeServer
	got    chan job.Heartbeat
	answer chan struct{}
}

func (s *beatServer) Beat(ctx context.Context, run string, attempt int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	s.got <- hb
	select {
	case <-s.answer:
		return job.HeartbeatReply{Run: run, Attempt: attempt, Owner: true, NextMS: 5000}, nil
	case <-ctx.Done():
		return job.HeartbeatReply{}, ctx.Err()
	}
}

// The last beat says so; none follows until the heartbeats are resumed, and then one at once.
func TestSuspendedHeartbeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &beatServer{newFakeServer(nil), make(chan job.Heartbeat, 10), make(chan struct{}, 10)}
		ready, suspender := make(chan struct{}), make(Suspender)
		b := &Heartbeats{
			Server: s, Run: testRun, Attempt: 1, Period: 5 * time.Second, Begun: time.Now(), Ready: ready, Link: NewLink(nil),
			Evidence: func(time.Time) job.Heartbeat { return job.Heartbeat{} }, Reply: func(job.HeartbeatReply) {}, Suspender: suspender,
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Send(ctx) }()
		second := func() context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			t.Cleanup(cancel)
			return ctx
		}

		begun := time.Now()
		suspender.Suspend(second())() // the server knows of nothing yet
		if waited := time.Since(begun); waited != time.Second || len(s.got) != 0 {
			t.Errorf("after %s, %d beats", waited, len(s.got))
		}
		close(ready)
		s.answer <- struct{}{}
		if hb := <-s.got; hb.Suspended {
			t.Errorf("the first beat %+v", hb)
		}
		synctest.Wait()
		s.answer <- struct{}{}
		begun = time.Now()
		resume := suspender.Suspend(second())
		if hb := <-s.got; !hb.Suspended || time.Since(begun) != 0 {
			t.Errorf("the last beat %+v after %s", hb, time.Since(begun))
		}
		<-time.After(time.Hour)
		if len(s.got) != 0 {
			t.Errorf("%d beats while suspended", len(s.got))
		}
		resume()
		s.answer <- struct{}{}
		begun = time.Now()
		if hb := <-s.got; hb.Suspended || time.Since(begun) != 0 {
			t.Errorf("resumed, a beat %+v after %s", hb, time.Since(begun))
		}

		// A server that does not answer is waited for as long as the caller wants.
		synctest.Wait()
		begun = time.Now()
		resume = suspender.Suspend(second())
		if hb := <-s.got; !hb.Suspended || time.Since(begun) != time.Second {
			t.Errorf("the last beat %+v, waited %s", hb, time.Since(begun))
		}
		s.answer <- struct{}{}
		synctest.Wait()
		resume()
		if hb := <-s.got; hb.Suspended {
			t.Errorf("resumed, a beat %+v", hb)
		}
		cancel()
		<-done
		suspender.Suspend(second())() // nobody sends any more
	})
}

func TestSuspendNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		Suspender(nil).Suspend(ctx)()
	})
}
