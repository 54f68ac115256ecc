package live

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// keepAliveInterval is the time between two comments on a stream without events.
	keepAliveInterval = 15 * time.Second
	// pollInterval is how often a stream reads the store without a wake-up, because the commits of
	// other servers on the same database wake no stream here.
	pollInterval = time.Second
	// minStepInterval is the least time between two reads, on average, so that a run that prints a lot makes few
	// large events and not many small ones.
	minStepInterval = 50 * time.Millisecond
	// stepBurst is how many reads a stream may make at once that had nothing to send before: a short run starts and ends
	// within minStepInterval, and a client that waits for it gets both at once.
	stepBurst = 4
	// maxStreams is how many live streams may be open at once.
	maxStreams = 8192
	// snapshotInterval is the least time between two snapshots of a run of which only figures change.
	snapshotInterval = 5 * time.Second
)

// StreamRun streams one run. The id of an event is attempt:offset, the place in the journal after the
// event, so that a client that reconnects with Last-Event-ID, to any server, gets every event once.
func (s *Streams) StreamRun(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	place, err := s.enter(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer place.Leave()
	f, sub, err := s.newFollower(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer sub.Close()
	f.out = startEvents(w, s.WriteTimeout)
	if r.Method == http.MethodHead {
		return
	}
	if err := f.out.event("run", "", f.last); err != nil {
		s.Abort(r, err)
	}
	if err := s.serve(ctx, f.out, sub, f.step); err != nil {
		s.Abort(r, err)
	}
}

// enter takes a place among the live streams.
func (s *Streams) enter(r *http.Request) (*shares.Place, error) {
	place, err := s.open.Enter(access.CallerOf(r.Context()).Owner(), 1, nil)
	if err != nil {
		return nil, httpio.Busy(http.StatusTooManyRequests, keepAliveInterval, "too many live streams are open: %s", err)
	}
	return place, nil
}

// serve calls step whenever there may be new events, until step is done, the client leaves or the server
// shuts down. After an error the stream is incomplete.
func (s *Streams) serve(ctx context.Context, out *eventWriter, sub *Subscription, step func(context.Context) (done bool, err error)) error {
	keepAlive := time.NewTicker(keepAliveInterval)
	defer keepAlive.Stop()
	poll := time.NewTicker(pollInterval)
	defer poll.Stop()
	next := time.NewTimer(0)
	defer next.Stop()
	var steps stepPace
	ctx, turn := httpio.WithTurn(ctx, s.Turns)
	out.out.Turn = turn
	defer turn.Release()
	for {
		turn.Take()
		done, err := step(ctx)
		turn.Release()
		if err != nil {
			return err
		}
		if err := out.flush(); err != nil || done {
			return err
		}
		next.Reset(steps.pause(time.Now()))
		select {
		case <-next.C:
		case <-ctx.Done():
			return nil
		case <-s.Stopping:
			return nil
		}
		for waiting := true; waiting; {
			select {
			case <-sub.Wake():
				waiting = false
			case <-poll.C:
				waiting = false
			case <-keepAlive.C:
				if err := errors.Join(out.keepAlive(), out.flush()); err != nil {
					return err
				}
			case <-ctx.Done():
				return nil
			case <-s.Stopping:
				return nil
			}
		}
	}
}

// stepPace is how fast a stream has read.
type stepPace struct {
	due time.Time // when as many reads would be over that are minStepInterval apart
}

// pause returns how long a stream waits after a read.
func (p *stepPace) pause(now time.Time) time.Duration {
	if p.due.Before(now) {
		p.due = now
	}
	p.due = p.due.Add(minStepInterval)
	return max(0, p.due.Sub(now)-(stepBurst-1)*minStepInterval)
}

// newFollower returns the stream for a request, and its subscription. It subscribes before it reads the
// run, so that a commit in between leaves a wake-up.
func (s *Streams) newFollower(r *http.Request) (*follower, *Subscription, error) {
	p := httpio.NewParams(r, "attempt", "from", "tail", "step", "stream", "output")
	f := &follower{
		streams: s,
		filter:  p.Filter(),
		pinned:  int(p.Number("attempt", 1, job.MaxAttempt, 0)),
		mute:    !p.Bool("output", true),
	}
	tail := p.Number("tail", 0, httpio.MaxNumber, -1)
	place := p.Values.Get("from")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		place, tail = last, -1 // the client reconnects
	}
	if place != "" && tail >= 0 {
		p.Refuse("from and tail both set the beginning: send one of them")
	}
	if p.Err != nil {
		return nil, nil, p.Err
	}
	id, attempt, err := s.AttemptID(r.Context(), r.PathValue("run"), f.pinned)
	if err != nil {
		return nil, nil, err
	}
	f.pinned = attempt
	sub := s.Broker.Subscribe(id)
	f.run = id
	if err := f.begin(r.Context(), place, tail); err != nil {
		sub.Close()
		return nil, nil, err
	}
	return f, sub, nil
}

// begin sets the attempt and the place at which the stream begins.
func (f *follower) begin(ctx context.Context, place string, tail int64) error {
	view, err := f.view(ctx)
	if err != nil {
		return err
	}
	f.attempt = view.Attempt
	if place != "" {
		if err := f.resume(ctx, place); err != nil {
			return err
		}
	}
	if f.pinned == 0 {
		if view, err = f.currentView(ctx, view); err != nil {
			return err
		}
	}
	f.setAttempt(view)
	f.steps = slices.Clone(view.Steps) // other streams share view
	if tail >= 0 {
		if err := f.startTail(ctx, view, tail); err != nil {
			return err
		}
	}
	f.recordSent(view)
	return nil
}

// resume sets the place to that of an event id or a journal offset. It may be beyond the end of the
// journal, if the server was restored from a backup and the agent sends the rest again.
func (f *follower) resume(ctx context.Context, place string) error {
	attempt, pos, err := parseEventID(place)
	if err != nil {
		return err
	}
	if attempt == 0 {
		attempt = f.attempt
	}
	if f.pinned != 0 && attempt != f.pinned {
		return httpio.NewProblem(http.StatusBadRequest, "the event id %s belongs to another attempt than %d", job.Quote(place), f.pinned)
	}
	f.attempt, f.pos = attempt, pos
	size, err := f.streams.Store.JournalSize(ctx, f.run, attempt)
	if err != nil {
		return err
	}
	if pos == 0 || pos == journal.HeaderSize || pos > size {
		return nil
	}
	b, err := f.streams.Broker.recent.read(ctx, f.streams.Store, f.run, attempt, pos-1)
	if err != nil {
		return err
	}
	if b == nil || !b.block.Jumped && !endsAt(b.block, pos) { // in a dropped part any place is allowed
		return httpio.NewProblem(http.StatusBadRequest, "the event id %s is not the end of a record of the journal", job.Quote(place))
	}
	return nil
}

// endsAt reports whether a record of b ends at an offset.
func endsAt(b logs.Block, pos int64) bool {
	b.From = b.Head.Start
	found := false
	err := b.Records(func(_ journal.Record, end int64) error {
		found = end == pos
		if end >= pos {
			return logs.ErrStop
		}
		return nil
	})
	return found && err == nil
}

// eventID returns the id for a place in a run: attempt and journal offset.
func eventID(attempt int, pos int64) string {
	return strconv.Itoa(attempt) + ":" + strconv.FormatInt(pos, 10)
}

// parseEventID parses an event id. It also accepts an offset, for which it returns attempt 0.
func parseEventID(text string) (attempt int, pos int64, err error) {
	wrong := httpio.NewProblem(http.StatusBadRequest, "%s is not an event id: want attempt:offset", job.Quote(text))
	number := text
	if before, after, found := strings.Cut(text, ":"); found {
		number = after
		if attempt, err = strconv.Atoi(before); err != nil || attempt < 1 || attempt > job.MaxAttempt {
			return 0, 0, wrong
		}
	}
	if pos, err = strconv.ParseInt(number, 10, 64); err != nil || pos < 0 {
		return 0, 0, wrong
	}
	return attempt, pos, nil
}
