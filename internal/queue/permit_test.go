package queue

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

const me = "me"

func TestAnswer(t *testing.T) {
	first := Ask{Attempt: 1, Incarnation: me, Submitted: true, State: job.Queued, Claimed: true}
	again := Ask{Attempt: 1, Incarnation: me, Submitted: true, State: job.Starting, Latest: 1, Permitted: me}
	with := func(a Ask, change func(*Ask)) Ask { change(&a); return a }
	for name, c := range map[string]struct {
		a    Ask
		want Grant
	}{
		"the first":                {first, Grant{Granted: true, First: true}},
		"of a further attempt":     {with(first, func(a *Ask) { a.State, a.Latest, a.Attempt = job.Retrying, 2, 3 }), Grant{Granted: true, First: true}},
		"not submitted":            {with(first, func(a *Ask) { a.Submitted = false }), refused(NotSubmitted, "the run was not submitted at this server")},
		"without a claim":          {with(first, func(a *Ask) { a.Claimed = false }), refused(ClaimEnded, "the claim has ended")},
		"canceled":                 {with(first, func(a *Ask) { a.State, a.CanceledBy = job.Canceled, "ada" }), refused(RunCanceled, "the run was canceled by ada")},
		"of the wrong attempt":     {with(first, func(a *Ask) { a.Attempt = 2 }), refused(OtherAttempt, "the next attempt of the run is 1")},
		"of an older attempt":      {with(first, func(a *Ask) { a.State, a.Latest = job.Retrying, 1 }), refused(OtherAttempt, "the next attempt of the run is 2")},
		"beside a running attempt": {with(first, func(a *Ask) { a.State, a.Latest, a.Attempt = job.Running, 1, 2 }), refused(NotWaiting, "the run is running in attempt 1")},
		"beside a lost attempt":    {with(first, func(a *Ask) { a.State, a.Latest, a.Attempt = job.Lost, 1, 2 }), refused(NotWaiting, "the run is lost in attempt 1")},
		"by another process":       {with(again, func(a *Ask) { a.Incarnation = "other" }), refused(OtherProcess, "another process has the permit to start attempt 1")},
		"with another claim":       {with(first, func(a *Ask) { a.OtherClaim = true }), refused(OtherProcess, "another process has the permit to start attempt 1")},
		"again":                    {again, Grant{Granted: true}},
		"again, lost meanwhile":    {with(again, func(a *Ask) { a.State = job.Lost }), Grant{Granted: true, Revives: true}},
		"again, lost, had begun":   {with(again, func(a *Ask) { a.State, a.Begun = job.Lost, true }), refused(NotWaiting, "the run is lost in attempt 1")},
		"again, began meanwhile":   {with(again, func(a *Ask) { a.Begun = true }), refused(NotWaiting, "the run is starting in attempt 1")},
		"again, runs already":      {with(again, func(a *Ask) { a.State = job.Running }), refused(NotWaiting, "the run is running in attempt 1")},
		"again, canceled":          {with(again, func(a *Ask) { a.State, a.CanceledBy = job.Stopping, "ada" }), refused(RunCanceled, "the run was canceled by ada")},
		"again, to be retried":     {with(again, func(a *Ask) { a.State = job.Retrying }), refused(NotWaiting, "the run is retrying in attempt 1")},
		"again, superseded":        {with(again, func(a *Ask) { a.Latest = 2 }), refused(OtherAttempt, "attempt 2 has begun meanwhile")},
		"again, of another time":   {with(again, func(a *Ask) { a.State, a.Latest, a.Claimed = job.Queued, 0, true }), refused(OtherAttempt, "the permit of attempt 1 is not valid here any more")},
	} {
		if got := c.a.Answer(); got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
	}
}

func TestCheckIncarnation(t *testing.T) {
	if err := CheckIncarnation(strings.Repeat("0a", 16)); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{"", "0a", strings.Repeat("0A", 16), strings.Repeat("0a", 17), strings.Repeat("g", 32)} {
		if CheckIncarnation(bad) == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// world is one run, its claims and the processes that ask for permits, as naively as can be: a
// database of a few variables, and a network that keeps every request and every answer, and delivers
// any of them at any time, any number of times.
type world struct {
	state     job.State
	latest    int
	begun     bool           // the latest attempt
	permits   map[int]permit // by attempt
	claims    map[int]int    // claims that last: their attempts, by number
	given     int            // claims so far
	processes []*process
	starts    map[int][]string // which incarnations started an attempt
	wrong     string
}

type permit struct {
	incarnation string
	claim       int
}

// process is an agent: it asks, starts once it was granted, and ends for ever when it was refused.
type process struct {
	incarnation    string
	claim, attempt int
	started, ended bool
	answers        []Grant // on their way
}

func (w *world) ask(p *process) Grant {
	has, permitted := w.permits[p.attempt]
	a := Ask{
		Attempt: p.attempt, Incarnation: p.incarnation, Submitted: true, State: w.state, Latest: w.latest,
		Claimed: w.claims[p.claim] == p.attempt, Begun: w.begun,
	}
	switch {
	case permitted && has.claim == p.claim:
		a.Permitted = has.incarnation
	case permitted:
		a.OtherClaim = true
	}
	g := a.Answer()
	if g.First {
		if w.claims[p.claim] != p.attempt || w.state != job.Queued && w.state != job.Retrying {
			w.wrong = fmt.Sprintf("attempt %d got a permit while the run was %s, with the claims %v", p.attempt, w.state, w.claims)
		}
		w.permits[p.attempt] = permit{p.incarnation, p.claim}
		delete(w.claims, p.claim)
		w.latest, w.state, w.begun = p.attempt, job.Starting, false
	}
	if g.Revives {
		w.state = job.Starting
	}
	return g
}

// An attempt starts at most once, and never beside an attempt that has begun and is trusted,
// whatever the order in which claims end, and requests and answers arrive.
func TestAnAttemptStartsAtMostOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{state: job.Queued, permits: map[int]permit{}, claims: map[int]int{}, starts: map[int][]string{}}
		some := func(t *rapid.T) *process {
			if len(w.processes) == 0 {
				t.Skip("no process yet")
			}
			return rapid.SampledFrom(w.processes).Draw(t, "process")
		}
		t.Repeat(map[string]func(*rapid.T){
			"give a claim": func(t *rapid.T) {
				if w.state != job.Queued && w.state != job.Retrying || len(w.claims) > 0 {
					t.Skip("nothing waits")
				}
				w.given++
				w.claims[w.given] = w.latest + 1
			},
			"end a claim": func(*rapid.T) { clear(w.claims) },
			"start a process with a claim": func(t *rapid.T) { // a worker may do so twice, also with one that has ended
				if w.given == 0 {
					t.Skip("no claim yet")
				}
				claim, attempt := rapid.IntRange(max(1, w.given-2), w.given).Draw(t, "claim"), rapid.IntRange(1, w.latest+1).Draw(t, "attempt")
				if of, lasts := w.claims[claim]; lasts {
					attempt = of
				}
				w.processes = append(w.processes, &process{incarnation: fmt.Sprint("p", len(w.processes)), claim: claim, attempt: attempt})
			},
			"a request arrives": func(t *rapid.T) { // also one of a process that has ended: it was on its way
				p := some(t)
				p.answers = append(p.answers, w.ask(p))
			},
			"an answer arrives": func(t *rapid.T) { // the others may arrive later, or never
				p := some(t)
				if len(p.answers) == 0 || p.ended || p.started {
					t.Skip("nothing to receive")
				}
				if g := rapid.SampledFrom(p.answers).Draw(t, "answer"); !g.Granted {
					p.ended = true
					return
				}
				p.started = true
				w.starts[p.attempt] = append(w.starts[p.attempt], p.incarnation)
				if w.latest == p.attempt && w.state == job.Starting {
					w.state, w.begun = job.Running, true
				}
			},
			"the lease ends": func(t *rapid.T) {
				if !w.state.Active() {
					t.Skip("not active")
				}
				w.state = job.Lost
			},
			"another attempt is to follow": func(t *rapid.T) {
				if w.state != job.Lost {
					t.Skip("not lost")
				}
				w.state = job.Retrying
			},
			"the original comes back": func(t *rapid.T) {
				if w.latest == 0 || w.state != job.Lost && w.state != job.Retrying || !w.begun {
					t.Skip("nobody to come back")
				}
				w.state = job.Running
				clear(w.claims)
			},
			"": func(t *rapid.T) {
				if w.wrong != "" {
					t.Fatal(w.wrong)
				}
				for attempt, by := range w.starts {
					if len(by) > 1 || by[0] != w.permits[attempt].incarnation {
						t.Fatalf("attempt %d was started by %q; %q has the permit", attempt, by, w.permits[attempt].incarnation)
					}
				}
				for attempt := range w.permits {
					if attempt > w.latest || attempt > 1 && w.permits[attempt-1].incarnation == "" {
						t.Fatalf("attempt %d has a permit, the latest is %d", attempt, w.latest)
					}
				}
			},
		})
	})
}
