package intake

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/lease"
)

// Clients that come back as soon as they are answered make groups of all of them, and
// somebody who comes alone after a large group waits for the others for a moment only.
func TestGathersThoseWhoComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroups()
		c, _ := testCommitter(g)
		synctest.Wait() // until the committer runs
		const clients, rounds = 20, 5
		beat := func(client int) {
			if _, err := c.beat(t.Context(), lease.Beat{Run: fmt.Sprint(client)}); err != nil {
				t.Error(err)
			}
		}
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				for n := range rounds {
					if n > 0 { // not all at once: a network and a client lie between
						<-time.After(time.Duration(i) * gatherTimeout / (4 * clients))
					}
					beat(i)
				}
			})
			if i == 0 {
				synctest.Wait() // it comes alone
			}
		}
		for n := 0; n < clients*rounds; {
			<-g.entered
			<-time.After(time.Millisecond) // a commit takes its time
			g.mu.Lock()
			n += g.sizes[len(g.sizes)-1]
			g.mu.Unlock()
			g.release <- struct{}{}
		}
		wg.Wait()
		for n, size := range g.sizes[1:6] { // the first came alone, and in the last round not all are left
			if size < clients/2+1 {
				t.Errorf("group %d is of %d: %v", n+2, size, g.sizes)
			}
		}

		<-time.After(time.Second)
		began := time.Now()
		g.release <- struct{}{}
		beat(0)
		if took := time.Since(began); took > gatherTimeout {
			t.Errorf("one alone waited %s", took)
		}
		if err := c.close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
