package live

import (
	"bufio"
	"bytes"
	"context"
	"sync"
	"time"

	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/journal"
)

// sharedFor is how long the followers of a run share an answer of the store that no commit
// here has overtaken: another server on the same database may know better.
const sharedFor = 200 * time.Millisecond

// followed is a run that somebody follows: its followers, and what the store has answered
// one of them since the last commit, for the others.
type followed struct {
	subs map[*Subscription]struct{} // the broker's lock guards it

	mu      sync.Mutex
	commit  uint64 // number of the last one
	answers map[string]sharedAnswer
}

type sharedAnswer struct {
	value any
	at    time.Time
}

func newFollowed(commit uint64) *followed {
	return &followed{subs: map[*Subscription]struct{}{}, commit: commit, answers: map[string]sharedAnswer{}}
}

// committed says that what was answered before may not hold any more.
func (f *followed) committed(commit uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.commit = commit
	clear(f.answers)
}

// ask returns what was answered before, if it holds, and the commit that it is as new as.
func (f *followed) ask(question string, now time.Time) (value any, commit uint64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a, ok := f.answers[question]
	return a.value, f.commit, ok && now.Sub(a.at) < sharedFor
}

// answered keeps an answer that was asked for after a commit, unless another has come.
func (f *followed) answered(question string, commit uint64, value any, now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.commit == commit {
		f.answers[question] = sharedAnswer{value, now}
	}
}

// share asks the store for something of a run, once for all who ask at the same time, and
// keeps the answer for a moment where keep says so. Whoever asks after a commit is not
// handed an answer that was read before it.
func (c *blockCache) share(ctx context.Context, run, question string, keep func(any) bool, read func() (any, error)) (any, error) {
	f, commit := c.followed(run), c.commits.Load()
	if f != nil {
		var value any
		var ok bool
		if value, commit, ok = f.ask(question, time.Now()); ok {
			return value, nil
		}
	}
	defer httpio.TurnOf(ctx).Pause()() // who reads for all may wait for a turn
	value, err, _ := c.flight.Do(flightName(commit, run, question), func() (any, error) {
		at := time.Now()
		value, err := read()
		if f != nil && err == nil && keep(value) {
			f.answered(question, commit, value, at)
		}
		return value, err
	})
	return value, err
}

// rendered is the events of a block as all who want everything see them, made once. It is nil
// for a block that tells of steps, which each follower remembers for itself.
func (c *cachedBlock) rendered() []byte {
	c.render.Do(func() {
		var out bytes.Buffer
		f := &follower{attempt: c.key.attempt, out: &eventWriter{buf: bufio.NewWriter(&out)}}
		plain := true
		err := c.block.Records(func(rec journal.Record, end int64) error {
			switch rec.Type {
			case journal.TypeStepStarted, journal.TypeStepEnded:
				plain = false
				return logs.ErrStop
			}
			return f.record(rec, end)
		})
		if err == nil && plain && f.flushChunk() == nil && f.out.buf.Flush() == nil {
			c.events = out.Bytes()
		}
	})
	return c.events
}
