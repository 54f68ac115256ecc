package intake

import (
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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
	<-g.entered // beside the append
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

// A heartbeat that needs a transaction waits for no append of another run, nor an append for it, however many wait. Of one
// run neither is stored while the other is.
func TestBeatsAndAppendsOfOtherRunsDoNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroups()
		c, _ := testCommitter(g)
		var wg sync.WaitGroup
		began := func(n int) {
			t.Helper()
			synctest.Wait()
			if got := len(g.entered); got != n {
				t.Fatalf("%d commits have begun, want %d", got, n)
			}
		}
		appends := func(run string) {
			wg.Go(func() {
				if _, err := c.append(t.Context(), index.Append{Run: run, Data: []byte("x")}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		beats := func(run string) {
			wg.Go(func() {
				if _, err := c.beat(t.Context(), lease.Beat{Run: run}); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		appends("a")
		began(1)
		beats("a") // waits for the append of its run
		began(1)
		beats("b")
		began(2)
		appends("b") // waits for both
		appends("c")
		began(2)
		g.release <- struct{}{} // either of them
		g.release <- struct{}{}
		began(4) // the beat of a, and an append
		close(g.release)
		wg.Wait()
		if err := c.close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := len(g.sizes); n > 5 { // the appends of b and c are one group, or two
			t.Errorf("groups of %v", g.sizes)
		}
	})
}

// Of one run an append and a heartbeat that arrived while the other was stored are stored after it, though nothing else arrives.
func TestBeatsAndAppendsOfARunAreStoredInTurn(t *testing.T) {
	for _, first := range []string{"append", "beat"} {
		t.Run(first, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := newGroups()
				c, _ := testCommitter(g)
				var wg sync.WaitGroup
				send := func(what string) {
					wg.Go(func() {
						var err error
						if what == "append" {
							_, err = c.append(t.Context(), index.Append{Run: "a", Data: []byte("x")})
						} else {
							_, err = c.beat(t.Context(), lease.Beat{Run: "a"})
						}
						if err != nil {
							t.Error(err)
						}
					})
					synctest.Wait()
				}
				send(first)
				send(map[string]string{"append": "beat", "beat": "append"}[first])
				if n := len(g.entered); n != 1 {
					t.Fatalf("%d commits have begun at the same time", n)
				}
				g.release <- struct{}{}
				synctest.Wait()
				if n := len(g.entered); n != 2 {
					t.Fatalf("%d commits have begun", n)
				}
				closed := make(chan error, 1)
				go func() { closed <- c.close(t.Context()) }()
				close(g.release)
				wg.Wait()
				if err := <-closed; err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// A run that always has an append waiting does not keep its heartbeat waiting: the heartbeat that arrived during a group is
// stored before the next append of its run.
func TestManyAppendsOfARunDelayNoBeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGroups()
		c, _ := testCommitter(g)
		var wg sync.WaitGroup
		var order []string
		var mu sync.Mutex
		answered := func(what string, err error) {
			mu.Lock()
			defer mu.Unlock()
			if order = append(order, what); err != nil {
				t.Error(err)
			}
		}
		for range 4 { // no two fit into one group
			wg.Go(func() {
				_, err := c.append(t.Context(), index.Append{Run: "a", Data: make([]byte, runGroupBytes)})
				answered("append", err)
			})
			synctest.Wait()
		}
		wg.Go(func() {
			_, err := c.beat(t.Context(), lease.Beat{Run: "a"})
			answered("beat", err)
		})
		synctest.Wait()
		for range 5 {
			g.release <- struct{}{}
			synctest.Wait()
		}
		wg.Wait()
		if want := []string{"append", "beat", "append", "append", "append"}; !slices.Equal(order, want) {
			t.Errorf("stored in the order %v", order)
		}
		if err := c.close(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}
