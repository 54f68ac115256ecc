package queue

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"stint.dev/stint/job"
)

// lane is a lane of the test.
type lane struct {
	weight  int64
	next    int64
	waiting []waiting
	// ideal is when an ideal server would begin the following run of the lane: one that serves every
	// lane at once by its share, and to which all of them have a backlog.
	ideal float64
	// since is the turn from which the lane has always had a run that waits; -1 for none. served
	// counts its runs that were taken since then.
	since, served int
}

type waiting struct {
	rank  int64
	ideal float64
}

// fairQueue takes runs of one selector by rank, as the store does. Each turn takes one.
type fairQueue struct {
	lanes   []*lane
	virtual int64
	total   float64 // of the weights
	turn    int
}

func (q *fairQueue) add(l *lane) {
	w := waiting{ideal: max(l.ideal, float64(q.turn))}
	w.rank, l.next = Rank(l.next, q.virtual, l.weight)
	l.ideal = w.ideal + q.total/float64(l.weight)
	l.waiting = append(l.waiting, w)
}

// take takes the run with the lowest rank.
func (q *fairQueue) take() (*lane, waiting) {
	var best *lane
	for _, l := range q.lanes {
		if len(l.waiting) > 0 && (best == nil || l.waiting[0].rank < best.waiting[0].rank) {
			best = l
		}
	}
	q.turn++
	if best == nil {
		return nil, waiting{}
	}
	w := best.waiting[0]
	best.waiting = best.waiting[1:]
	q.virtual = max(q.virtual, w.rank)
	best.served++
	return best, w
}

// mark notes which lanes have had a backlog since when.
func (q *fairQueue) mark() {
	for _, l := range q.lanes {
		switch {
		case len(l.waiting) == 0:
			l.since, l.served = -1, 0
		case l.since < 0:
			l.since, l.served = q.turn, 0
		}
	}
}

// unfair returns how lanes that began to wait in the same turn were served out of proportion to
// their weights by more than one run of each; "" if none was.
func (q *fairQueue) unfair() string {
	for _, a := range q.lanes {
		for _, b := range q.lanes {
			if a.since < 0 || a.since != b.since {
				continue
			}
			wa, wb := float64(a.weight), float64(b.weight)
			if float64(a.served)/wa-float64(b.served)/wb > 1/wa+1/wb+1e-9 {
				return fmt.Sprintf("lanes of weight %d and %d got %d and %d runs", a.weight, b.weight, a.served, b.served)
			}
		}
	}
	return ""
}

// The backlog of a lane delays no run of another by more than its share: each is taken at most one
// run of each lane later than the ideal server would begin it. And lanes that wait at the same time
// are served in proportion to their weights.
func TestRanksAreFair(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 15))
		q := &fairQueue{}
		for range 1 + random.IntN(6) {
			w := []job.Priority{job.PriorityLow, job.PriorityNormal, job.PriorityHigh}[random.IntN(3)].Weight()
			q.lanes = append(q.lanes, &lane{weight: w, since: -1})
			q.total += float64(w)
		}
		for range 1000 {
			if random.IntN(3) == 0 {
				l := q.lanes[random.IntN(len(q.lanes))]
				for range 1 + random.IntN(1+random.IntN(20)) {
					q.add(l)
				}
			}
			q.mark()
			at := q.turn
			l, w := q.take()
			if l == nil {
				continue
			}
			if late := float64(at) - w.ideal; late > float64(len(q.lanes)) {
				t.Fatalf("seed %d, turn %d: a run of weight %d is taken %.1f turns late beside %d other lanes", seed, at, l.weight, late, len(q.lanes)-1)
			}
			if why := q.unfair(); why != "" {
				t.Fatalf("seed %d, turn %d: %s", seed, at, why)
			}
		}
	}
}

// A lane that was idle has no credit for that time, and none with a backlog gets ahead of it.
func TestAnIdleLaneHasNoCredit(t *testing.T) {
	q := &fairQueue{total: 16}
	busy, idle := &lane{weight: 8, since: -1}, &lane{weight: 8, since: -1}
	q.lanes = []*lane{busy, idle}
	for range 10_000 {
		q.add(busy)
	}
	for range 1000 {
		q.take()
	}
	for range 10 {
		q.add(idle)
	}
	var order string
	for range 20 {
		l, _ := q.take()
		order += map[*lane]string{busy: "b", idle: "i"}[l]
	}
	if order != "ibibibibibibibibibib" && order != "bibibibibibibibibibi" {
		t.Errorf("the order is %s", order)
	}
}

func TestTurnsFollowWeights(t *testing.T) {
	weights, counts := []int64{1, 8, 64, 8}, [4]int{}
	for poll := range 20_000 {
		at := Turn(fmt.Sprint("poll ", poll), poll%7, weights)
		if again := Turn(fmt.Sprint("poll ", poll), poll%7, weights); at != again {
			t.Fatalf("the turn of one poll is %d and %d", at, again)
		}
		counts[at]++
	}
	for i, n := range counts {
		want := 20_000 * float64(weights[i]) / 81
		if float64(n) < 0.7*want || float64(n) > 1.3*want {
			t.Errorf("weight %d had %d turns, want about %.0f", weights[i], n, want)
		}
	}
	if at := Turn("poll", 0, nil); at != 0 {
		t.Errorf("without selectors the turn is %d", at)
	}
}

func TestRankOfUnknownWeight(t *testing.T) {
	for _, c := range []struct{ next, virtual, weight, rank, following int64 }{
		{0, 0, 1, 0, Scale}, {0, 5, 8, 5, 5 + Scale/8}, {7, 5, 64, 7, 7 + Scale/64}, {0, 0, 0, 0, Scale},
	} {
		rank, following := Rank(c.next, c.virtual, c.weight)
		if rank != c.rank || following != c.following {
			t.Errorf("%+v: %d, %d", c, rank, following)
		}
	}
}
