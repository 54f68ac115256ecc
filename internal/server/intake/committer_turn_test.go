package intake

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stint.dev/stint/internal/index"
)

// The committer turns when it is asked to and has nothing to do, with each try, also a
// failed one, and not while a commit hangs.
func TestCommitterTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroups()
		g.down = true
		c, _ := testCommitter(g)
		age := func() time.Duration {
			c.turn()
			synctest.Wait()
			return time.Since(c.turn())
		}
		<-time.After(time.Hour)
		if got := age(); got != 0 {
			t.Errorf("with nothing to do: %s ago", got)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := c.append(t.Context(), index.Append{Run: "r", Data: []byte("x")}); err == nil {
				t.Error("the store is down, and the append was answered")
			}
		})
		<-g.entered
		<-time.After(20 * time.Second)
		if got := age(); got != 20*time.Second {
			t.Errorf("while a commit hangs: %s ago", got)
		}
		g.release <- struct{}{}
		wg.Wait()
		if got := age(); got != 0 {
			t.Errorf("after a commit that failed: %s ago", got)
		}
		if err := c.close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
