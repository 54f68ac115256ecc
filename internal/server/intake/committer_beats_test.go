package intake

import (
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
)

// A heartbeat that needs no transaction waits for none, and is reported; what has been accepted when
// the committer closes is answered.
func TestKnownBeatsWaitForNoCommit(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	g.known = "known"
	c, reported := testCommitter(g)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := c.append(t.Context(), index.Append{Run: "known", Data: []byte("x")}); err != nil {
			t.Error(err)
		}
	})
	<-g.entered // and it is not released
	for range 3 {
		if got, err := c.beat(t.Context(), lease.Beat{Run: "known"}); err != nil || !got.Owner {
			t.Errorf("%+v, %v", got, err)
		}
	}
	if !c.lastStored().IsZero() { // by it the monitor knows that the database does not answer
		t.Error("a heartbeat in the log counts as a commit")
	}
	if _, ok := reported.Load("known"); !ok {
		t.Error("the heartbeats were not reported")
	}
	wg.Go(func() {
		if _, err := c.beat(t.Context(), lease.Beat{Run: "other", At: time.Now().Add(-time.Second)}); err != nil {
			t.Error(err)
		}
	})
	waitQueued(t, c, 1)
	if c.behind() < time.Second {
		t.Errorf("a heartbeat of a second ago waits, and the server is behind by %s", c.behind())
	}
	close(g.release)
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	if !slices.Equal(g.sizes, []int{1, 1}) || c.beatRoom.Used()+c.arrivedRoom.Used() != 0 || c.behind() != 0 || len(c.ahead) != 0 {
		t.Errorf("groups of %v, %d places in use, %s behind, ahead %v", g.sizes, c.beatRoom.Used()+c.arrivedRoom.Used(), c.behind(), c.ahead)
	}
}

// A heartbeat does not overtake one of its run that waits for a transaction: of several the last is
// stored last.
func TestBeatsOfARunKeepTheirOrder(t *testing.T) {
	defer goleak.VerifyNone(t)
	g := newGroups()
	c, _ := testCommitter(g)
	var wg sync.WaitGroup
	beat := func() {
		wg.Go(func() {
			if _, err := c.beat(t.Context(), lease.Beat{Run: "r"}); err != nil {
				t.Error(err)
			}
		})
	}
	beat()
	<-g.entered
	beat()
	waitQueued(t, c, 1)
	g.set("r") // a transaction has made the owner known
	beat()
	waitQueued(t, c, 2)
	close(g.release)
	wg.Wait()
	beat()
	wg.Wait()
	if err := c.close(t.Context()); err != nil {
		t.Error(err)
	}
	if !slices.Equal(g.sizes, []int{1, 2}) {
		t.Errorf("groups of %v, want the second and third together, and none for the last", g.sizes)
	}
}
