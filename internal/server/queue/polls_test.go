package queue

import (
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func hasTurn(p *Poll) bool { return len(p.turn) > 0 }

func TestPollsLookInTurn(t *testing.T) {
	var p Polls
	p.Wake() // nobody waits
	var all []*Poll
	for range 10 {
		all = append(all, p.Enter())
	}
	p.Wake()
	for i, poll := range all {
		if hasTurn(poll) != (i < mostAsking) {
			t.Errorf("poll %d has its turn: %t", i, hasTurn(poll))
		}
	}
	<-all[1].Turn()
	all[1].Leave() // it got runs
	if !hasTurn(all[mostAsking]) || hasTurn(all[mostAsking+1]) {
		t.Error("the next one does not have the turn that ended")
	}
	for i, poll := range all {
		if i == 1 {
			continue
		}
		if !hasTurn(poll) {
			t.Fatalf("poll %d never had its turn", i)
		}
		<-poll.Turn()
		poll.Done()
	}
	for i, poll := range all {
		if hasTurn(poll) {
			t.Errorf("poll %d looks again without a wake-up", i)
		}
	}
	late := p.Enter()
	if hasTurn(late) {
		t.Error("a new request has a turn for an old wake-up")
	}
	p.Wake()
	if !hasTurn(all[0]) || hasTurn(late) {
		t.Error("the one that waits longest does not come first")
	}
	if p.Count() != 10 {
		t.Errorf("%d requests are held open", p.Count())
	}
}

func TestPollsStopLookingWhenNoneIsLeft(t *testing.T) {
	var p Polls
	var all []*Poll
	for range 10 {
		all = append(all, p.Enter())
	}
	p.Wake()
	<-all[0].Turn()
	all[0].NoneLeft()
	all[0].Done()
	for i, poll := range all[mostAsking:] {
		if hasTurn(poll) {
			t.Errorf("poll %d looks for a run although none is left", mostAsking+i)
		}
	}
	p.Wake()
	for i := 1; i < mostAsking; i++ { // of the first wake-up
		<-all[i].Turn()
		all[i].Done()
	}
	if !hasTurn(all[0]) {
		t.Error("nobody looks after the next wake-up")
	}
	p.WakeAll()
	<-all[0].Turn()
	all[0].NoneLeft()
	all[0].Done()
	for i := 1; i < len(all); i++ {
		if !hasTurn(all[i]) {
			t.Fatalf("poll %d does not look, though everybody has to", i)
		}
		<-all[i].Turn()
		all[i].Done()
	}
}

// Wake-ups that come faster than requests look give everybody a turn.
func TestPollsLeaveNobodyOut(t *testing.T) {
	var p Polls
	var all []*Poll
	for range 3 * mostAsking {
		all = append(all, p.Enter())
	}
	turns := make([]int, len(all))
	for step := range 10 * len(all) {
		p.Wake()
		for n := range all { // one of those that have a turn looks
			i := (step + n) % len(all)
			if hasTurn(all[i]) {
				<-all[i].Turn()
				turns[i]++
				all[i].Done()
				break
			}
		}
	}
	if slices.Min(turns) == 0 {
		t.Errorf("turns: %d", turns)
	}
}

// Whatever happens, nobody sleeps through a wake-up, and not too many look at once.
func TestPollsMissNoWakeUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var p Polls
		wakeups, forAll := 0, 0
		since := map[*Poll]int{} // the wake-up after which it last began to look
		var order []*Poll
		some := func(t *rapid.T, which func(*Poll) bool) *Poll {
			var from []*Poll
			for _, poll := range order {
				if which(poll) {
					from = append(from, poll)
				}
			}
			if len(from) == 0 {
				t.Skip("none")
			}
			return from[rapid.IntRange(0, len(from)-1).Draw(t, "poll")]
		}
		busy := map[*Poll]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(*rapid.T) {
				poll := p.Enter()
				order, since[poll] = append(order, poll), wakeups
			},
			"wake":     func(*rapid.T) { wakeups++; p.Wake() },
			"wake all": func(*rapid.T) { wakeups++; forAll = wakeups; p.WakeAll() },
			"none left": func(t *rapid.T) {
				poll := some(t, func(poll *Poll) bool { return busy[poll] })
				for _, other := range order {
					if !hasTurn(other) && !busy[other] && since[other] >= forAll {
						since[other] = max(since[other], int(poll.seen))
					}
				}
				poll.NoneLeft()
			},
			"look": func(t *rapid.T) {
				poll := some(t, hasTurn)
				<-poll.Turn()
				busy[poll] = true
			},
			"done": func(t *rapid.T) {
				poll := some(t, func(poll *Poll) bool { return busy[poll] })
				delete(busy, poll)
				since[poll] = int(poll.seen)
				poll.Done()
			},
			"leave": func(t *rapid.T) {
				poll := some(t, func(*Poll) bool { return true })
				poll.Leave()
				delete(busy, poll)
				order = slices.DeleteFunc(order, func(other *Poll) bool { return other == poll })
			},
			"": func(t *rapid.T) {
				have, asleep := 0, []string{}
				for i, poll := range order {
					switch {
					case hasTurn(poll) || busy[poll]:
						have++
					case since[poll] < wakeups:
						asleep = append(asleep, fmt.Sprint(i))
					}
				}
				if have > mostAsking || have < mostAsking && len(asleep) > 0 || p.asking != have {
					t.Fatalf("%d look (%d by the count), and %v have not since the last wake-up", have, p.asking, asleep)
				}
			},
		})
	})
}
