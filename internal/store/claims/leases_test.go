package claims

import (
	"context"
	"errors"
	"testing"
	"time"

	"stint.dev/stint/internal/queue"
	"stint.dev/stint/job"
)

// rowOf is the row of a worker, as text.
func (b *bench) rowOf(t *testing.T, worker string) string {
	t.Helper()
	rows, err := b.servers[0].ReadTexts(t.Context(), `SELECT doc || ' ' || CAST(asked_at AS TEXT) || ' ' || CAST(lease_until AS TEXT) FROM workers WHERE name = $1`, worker)
	must(t, err)
	if len(rows) != 1 {
		t.Fatalf("%d rows of worker %s", len(rows), worker)
	}
	return rows[0]
}

// wait has a worker ask a server, which has nothing for it.
func (b *bench) wait(t *testing.T, server int, worker string, change func(*job.ClaimRequest)) job.ClaimReply {
	t.Helper()
	reply, err := b.servers[server].Claim(t.Context(), worker, b.poll(worker, change))
	must(t, err)
	if len(reply.Claims) != 0 {
		t.Fatalf("worker %s got %d runs", worker, len(reply.Claims))
	}
	return reply
}

// A worker that waits for runs writes nothing, however often it asks; it lives, and keeps its name, and the server that
// it asks shows when it asked last.
func TestWorkersThatWaitWriteNothing(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.wait(t, 0, "w1", nil)
		row, before := b.rowOf(t, "w1"), b.opened[0].Trips.Load()
		for range 14 {
			b.pass(20 * time.Second)
			b.wait(t, 0, "w1", func(r *job.ClaimRequest) { r.FreeMemoryBytes = b.now.Load() })
			must(t, b.servers[0].EndLeases(t.Context()))
		}
		if trips := b.opened[0].Trips.Load() - before; trips != 0 || b.rowOf(t, "w1") != row {
			t.Errorf("%d trips, and the row is\n%s, it was\n%s", trips, b.rowOf(t, "w1"), row)
		}
		for i, s := range b.servers {
			all, err := s.ListWorkers(t.Context())
			must(t, err)
			if w := all[0]; !w.Live || i == 0 && (!w.LastAt.Equal(b.clock()) || *w.FreeMemoryBytes != b.now.Load()) {
				t.Errorf("server %d shows %+v", i, w)
			}
			var taken *queue.NameTakenError
			if _, err := s.Claim(t.Context(), "w1", b.poll("w1", func(r *job.ClaimRequest) { r.WorkerID = "another" })); !errors.As(err, &taken) {
				t.Errorf("server %d gave the name away: %v", i, err)
			}
		}
		b.pass(60 * time.Second) // the server writes once in a while
		b.wait(t, 0, "w1", nil)
		if b.rowOf(t, "w1") == row {
			t.Error("the row is as old as the longest lease")
		}
	})
}

// What a worker says, and where it asks, is written at once.
func TestWorkersThatChangeAreWritten(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		b.wait(t, 0, "w1", nil)
		for name, change := range map[string]func(){
			"fewer free slots":  func() { b.wait(t, 0, "w1", func(r *job.ClaimRequest) { r.Free = 1 }) },
			"another server":    func() { b.wait(t, 1, "w1", nil) },
			"the first again":   func() { b.wait(t, 0, "w1", nil) },
			"it leaves":         func() { b.wait(t, 0, "w1", func(r *job.ClaimRequest) { r.Leaving = true }) },
			"a longer request":  func() { b.wait(t, 0, "w1", func(r *job.ClaimRequest) { r.Labels = map[string]string{"a": "b"} }) },
			"its lease is over": func() { b.pass(51 * time.Second); must(t, b.servers[0].EndLeases(t.Context())) },
		} {
			b.wait(t, 0, "w1", func(r *job.ClaimRequest) { r.Version = "before " + name })
			b.pass(time.Second)
			if name == "the first again" {
				b.wait(t, 1, "w1", nil)
			}
			row := b.rowOf(t, "w1")
			if change(); b.rowOf(t, "w1") == row {
				t.Errorf("%s: the row is as before: %s", name, row)
			}
		}
	})
}

// After the lease of a worker the other servers know that it is gone as soon as the server that it asked stores that. If
// that server is gone too, they find out later, and a server that starts shortens that.
func TestServersLearnThatAWorkerIsGone(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		live := func() int {
			all, err := b.servers[1].LiveWorkers(t.Context())
			must(t, err)
			return len(all)
		}
		b.wait(t, 0, "w1", nil)
		b.pass(51 * time.Second)
		if n := live(); n != 1 {
			t.Errorf("%d live, of which no server knows more", n)
		}
		failing, cancel := context.WithCancel(t.Context())
		cancel()
		if err := b.servers[0].EndLeases(failing); err == nil {
			t.Error("the end of a lease was stored without a database")
		}
		must(t, b.servers[0].EndLeases(t.Context()))
		if n := live(); n != 0 {
			t.Errorf("%d live after their leases", n)
		}
		b.wait(t, 0, "w1", nil) // it is back
		if n := live(); n != 1 {
			t.Errorf("%d live of one that is back", n)
		}
		must(t, b.servers[1].ExtendClaims(t.Context())) // as a server that starts
		b.pass(89 * time.Second)
		if n := live(); n != 1 {
			t.Errorf("%d live that may wait for an answer", n)
		}
		b.pass(2 * time.Second)
		if n := live(); n != 0 {
			t.Errorf("%d live, 91 s after the start of a server", n)
		}
	})
}
