package shares

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// clock is a time that tests set.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func TestTokenCountsBeforeTheAddress(t *testing.T) {
	s := New(Limits{All: 100, Token: 30, Address: 10}, time.Now)
	a, b := Owner{"a", "one"}, Owner{"b", "one"}
	if _, err := s.Enter(a, 50, nil); err != nil {
		t.Fatal("one alone may use half:", err)
	}
	var full *FullError
	if _, err := s.Enter(Owner{"a", "two"}, 1, nil); !errors.As(err, &full) || !full.Own || full.Limit != 30 {
		t.Error("one more of the same token elsewhere:", err)
	}
	if _, err := s.Enter(b, 30, nil); err != nil {
		t.Error("another token of the address:", err)
	}
	if _, err := s.Enter(Owner{Address: "one"}, 10, nil); err != nil {
		t.Error("no token:", err)
	}
	if _, err := s.Enter(Owner{Address: "one"}, 1, nil); !errors.As(err, &full) || full.Limit != 10 {
		t.Error("no token, a second:", err)
	}
	if _, err := s.Enter(Owner{"c", "one"}, 11, nil); !errors.As(err, &full) || full.Own {
		t.Error("more than there is:", err)
	}
}

func TestPlacesGrowMoveAndLeave(t *testing.T) {
	s := New(Limits{All: 100, Token: 50, Address: 10}, time.Now)
	p, err := s.Enter(Owner{Address: "x"}, 5, nil)
	if err != nil || p.Grow(45) != nil || p.Grow(1) == nil {
		t.Fatal(err)
	}
	p.Shrink(20)
	p.Move(Owner{"t", "x"})
	if q, err := s.Enter(Owner{Address: "x"}, 35, nil); err != nil {
		t.Error("the address has its share again:", err)
	} else {
		q.Leave()
		q.Leave()
	}
	p.Leave()
	(*Place)(nil).Leave()
	if s.Used() != 0 || len(s.owners) != 0 {
		t.Errorf("%d are in use, %d owners are known after everybody left", s.Used(), len(s.owners))
	}
	if p.Grow(1) == nil {
		t.Error("a place that was left grows")
	}
}

func TestSilentHoldersMakeRoom(t *testing.T) {
	c := &clock{time.Unix(0, 0)}
	s := New(Limits{All: 4, Token: 2, Address: 2, Silence: time.Second}, c.now)
	var cut []string
	enter := func(who, name string) *Place {
		var p *Place
		p, err := s.Enter(Owner{Token: who}, 1, func() { cut = append(cut, name); p.Leave() })
		if err != nil {
			t.Log(name, err)
		}
		return p
	}
	first, second := enter("a", "first"), enter("a", "second")
	enter("b", "third").Protect(true)
	c.at = c.at.Add(900 * time.Millisecond)
	if first.Progress(); enter("a", "own share") != nil || len(cut) != 0 {
		t.Errorf("nobody was silent for long enough: %v", cut)
	}
	c.at = c.at.Add(200 * time.Millisecond)
	if enter("a", "own share") != nil || len(cut) != 1 || cut[0] != "second" {
		t.Errorf("the one that was silent for longest: %v", cut)
	}
	if enter("a", "again") == nil || enter("b", "fourth") == nil {
		t.Error("there is no room after somebody was cut")
	}
	c.at = c.at.Add(time.Hour)
	second.Leave()
	if enter("c", "new") != nil || len(cut) != 2 || cut[1] != "first" {
		t.Errorf("the owner who uses most, and who was silent there for longest: %v", cut)
	}
}

func TestWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{All: 1, Token: 1, Address: 1, Silence: time.Second}, time.Now)
		p, err := s.Enter(Owner{Token: "a"}, 1, nil)
		if err != nil {
			t.Fatal(err)
		}
		limit, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		began := time.Now()
		if _, err := s.EnterWait(limit, Owner{Token: "b"}, 1, nil); err == nil || time.Since(began) != 5*time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		time.AfterFunc(50*time.Millisecond, p.Leave)
		began = time.Now()
		var q *Place
		if q, err = s.EnterWait(t.Context(), Owner{Token: "b"}, 1, func() { q.Leave() }); err != nil || time.Since(began) != 50*time.Millisecond {
			t.Errorf("%v after %s", err, time.Since(began))
		}
		began = time.Now()
		if _, err = s.EnterWait(t.Context(), Owner{Token: "c"}, 1, nil); err != nil || time.Since(began) > 1300*time.Millisecond {
			t.Errorf("in the place of a silent one: %v after %s", err, time.Since(began))
		}
	})
}

// An owner that waits for room is not silent, and one that holds nothing has nothing to lose.
func TestWaitingIsNotSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := New(Limits{All: 10, Token: 10, Silence: time.Second}, time.Now)
		enter := func(n int64) *Place {
			p, err := s.Enter(Owner{Token: "a"}, n, func() { t.Error("it was dropped") })
			if err != nil {
				t.Fatal(err)
			}
			return p
		}
		holder, waits, empty := enter(8), enter(1), enter(0)
		holder.Protect(true)
		limit, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		go func() {
			<-time.After(5 * time.Second)
			if empty.Grow(2) == nil {
				t.Error("there was room")
			}
			<-time.After(time.Second)
			holder.Leave()
		}()
		if err := waits.GrowWait(limit, 5); err != nil {
			t.Error(err)
		}
	})
}

// Whatever the others do, an owner that has less than their share is refused only when all is
// in use; no owner has more than their share and half of all; and what is counted is what is held.
func TestSharesAreFair(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{
			All:   rapid.Int64Range(4, 200).Draw(t, "all"),
			Token: rapid.Int64Range(1, 60).Draw(t, "token"), Address: rapid.Int64Range(1, 60).Draw(t, "address"),
		}
		s := New(limits, time.Now)
		held := map[Owner]int64{}
		places := map[Owner][]*Place{}
		total := func() (sum int64) {
			for _, n := range held {
				sum += n
			}
			return sum
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			o := Owner{Token: rapid.SampledFrom([]string{"", "a", "b", "c"}).Draw(t, "who")}
			if o.Token == "" {
				o.Address = rapid.SampledFrom([]string{"x", "y"}).Draw(t, "from")
			}
			if mine := places[o]; len(mine) > 0 && rapid.Bool().Draw(t, "leaves") {
				held[o] -= mine[0].amount
				mine[0].Leave()
				places[o] = mine[1:]
				continue
			}
			n := rapid.Int64Range(1, 50).Draw(t, "n")
			room := limits.All - total()
			p, err := s.Enter(o, n, nil)
			switch {
			case err == nil:
				held[o] += n
				places[o] = append(places[o], p)
				if held[o] > max(limits.share(o), (limits.All+1)/2) {
					t.Fatalf("%v has %d of %+v", o, held[o], limits)
				}
			case held[o]+n <= limits.share(o) && n <= room:
				t.Fatalf("%v has %d, asks for %d of its share of %d, %d are free: %v", o, held[o], n, limits.share(o), room, err)
			}
			if s.Used() != total() || s.Used() > limits.All {
				t.Fatalf("%d are counted, %d held, of %d", s.Used(), total(), limits.All)
			}
		}
	})
}
