package delivery

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

	mu    sync.Mutex
	at    []time.Time
	beats []job.Heartbeat
}

func (h *heldServer) HeartbeatsCut() <-chan struct{} { return h.cut }

func (h *heldServer) Append(context.Context, string, int, int64, []byte) (job.AppendReply, error) {
	return job.AppendReply{}, errors.New("not asked for here")
}

func (h *heldServer) Beat(_ context.Context, _ string, _ int, hb job.Heartbeat) (job.HeartbeatReply, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at, h.beats = append(h.at, time.Now()), append(h.beats, hb)
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
		b := &Heartbeats{
			Server: server, Run: "r", Attempt: 1, Period: 10 * time.Second, Begun: time.Now(), Ready: ready,
			Evidence: func(time.Time) job.Heartbeat { return job.Heartbeat{} }, Reply: func(job.HeartbeatReply) {},
		}
		stopped := make(chan struct{})
		go func() { b.Send(ctx); close(stopped) }()
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
		if last := server.beats[4]; !last.Prompt || last.Sequence != 5 || server.beats[3].SchedulingDelayMS != 0 {
			t.Errorf("heartbeats %+v", server.beats)
		}
		cancel()
		<-stopped
	})
}
