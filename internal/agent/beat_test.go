package agent

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/job"
)

// heldServer takes heartbeats, and tells when their connection is cut.
type heldServer struct {
	cut chan struct{}

	mu   sync.Mutex
	at   []time.Time
	said []job.Heartbeat
}

func (h *heldServer) HeartbeatsCut() <-chan struct{} { return h.cut }

func (h *heldServer) Append(context.Context, string, int, int64, []byte) (job.AppendReply, error) {
	return job.AppendReply{}, errors.New("not asked for here")
}

func (h *heldServer) Beat(_ context.Context, _ string, _ int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.said = append(h.at, time.Now()), append(h.said, hb)
	return job.HeartbeatReply{Owner: true}, nil
}

// A connection that is cut is followed by a heartbeat at once, but only once, and only if
// it had been held.
func TestACutConnectionIsFollowedByABeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		server := &heldServer{cut: make(chan struct{}, 1)}
		ready := make(chan struct{})
		close(ready)
		b := &beater{
			server: server, run: "r", attempt: 1, period: 10 * time.Second, begun: time.Now(), ready: ready,
			evidence: func(time.Time) job.Heartbeat { return job.Heartbeat{} }, heard: func(job.HeartbeatReply) {}, about: func() {},
		}
		over := make(chan struct{})
		go func() { b.beats(ctx); close(over) }()
		wait := func(d time.Duration, beats int) {
			t.Helper()
			<-time.After(d)
			synctest.Wait()
			server.mu.Lock()
			defer server.mu.Unlock()
			if len(server.at) != beats {
				t.Fatalf("%d heartbeats, want %d: %v", len(server.at), beats, server.at)
			}
		}
		wait(time.Second, 1)
		server.cut <- struct{}{}
		wait(time.Second, 1) // it carried one beat only
		wait(9*time.Second, 2)
		wait(10*time.Second, 3)
		server.cut <- struct{}{}
		wait(time.Second, 4)
		server.cut <- struct{}{}
		wait(time.Second, 4) // once is enough
		wait(9*time.Second, 5)
		server.mu.Lock()
		defer server.mu.Unlock()
		if last := server.said[4]; !last.Prompt || last.Sequence != 5 || server.said[3].SchedulingDelayMS != 0 {
			t.Errorf("heartbeats %+v", server.said)
		}
		cancel()
		<-over
	})
}
