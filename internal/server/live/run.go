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
	// streamBeat is the pause between two comments on a stream that has nothing to say.
	streamBeat = 15 * time.Second
	// streamPoll is how often a stream looks by itself: another server on the same
	// database wakes nobody here.
	streamPoll = time.Second
	// streamPace is the least time between two looks, so that a run that prints a lot
	// makes few large events instead of many small ones.
	streamPace = 50 * time.Millisecond
	// maxStreams is how many live streams are open at once.
	maxStreams = 8192
	// snapshotEvery is how often a run is sent again when only its figures changed.
	snapshotEvery = 5 * time.Second
)

// StreamRun follows one run live. Event ids are attempt:offset, the place in the journal
// behind the event, so that a client that comes back with Last-Event-ID misses nothing
// and sees nothing twice, whichever server it comes back to.
func (s *Streams) StreamRun(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	place, err := s.streamTurn(r)
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
	f.out = startEvents(w, s.WritePause)
	if r.Method == http.MethodHead {
		return
	}
	if err := f.out.event("run", "", f.last); err != nil {
		s.BreakOff(r, err)
	}
	if err := s.pump(ctx, f.out, sub, f.step); err != nil {
		s.BreakOff(r, err)
	}
}

// streamTurn takes a place among the live streams.
func (s *Streams) streamTurn(r *http.Request) (*shares.Place, error) {
	place, err := s.open.Enter(access.CallerOf(r.Context()).Owner(), 1, nil)
	if err != nil {
		return nil, httpio.Busy(http.StatusTooManyRequests, streamBeat, "so many live streams are open that there is no place for another: %s", err)
	}
	return place, nil
}

// pump calls step whenever there may be something new, until step is done, the client
// goes or the server stops. An error means that the stream broke in the middle.
func (s *Streams) pump(ctx context.Context, out *eventWriter, sub *Subscription, step func(context.Context) (done bool, err error)) error {
	beat := time.NewTicker(streamBeat)
	defer beat.Stop()
	poll := time.NewTicker(streamPoll)
	defer poll.Stop()
	pace := time.NewTimer(0)
	defer pace.Stop()
	ctx, turn := httpio.WithTurn(ctx, s.Turns)
	out.out.Turn = turn
	defer turn.Give()
	for {
		turn.Take()
		done, err := step(ctx)
		turn.Give()
		if err != nil {
			return err
		}
		if err := out.flush(); err != nil || done {
			return err
		}
		pace.Reset(streamPace)
		select {
		case <-pace.C:
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
			case <-beat.C:
				if err := errors.Join(out.beat(), out.flush()); err != nil {
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

// newFollower reads a request for a live stream and finds its place. The subscription is
// made before the run is read: what is committed in between leaves a wake-up.
func (s *Streams) newFollower(r *http.Request) (*follower, *Subscription, error) {
	p := httpio.NewParams(r, "attempt", "from", "tail", "step", "stream", "output")
	f := &follower{
		streams: s,
		filter:  p.Filter(),
		pinned:  int(p.Number("attempt", 1, job.MaxAttempt, 0)),
		mute:    !p.Truth("output", true),
	}
	tail := p.Number("tail", 0, httpio.MaxNumber, -1)
	place := p.Values.Get("from")
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		place, tail = last, -1 // the client was here before, and has a place
	}
	if place != "" && tail >= 0 {
		p.Refuse("from and tail both say where to begin: give one of them")
	}
	if p.Err != nil {
		return nil, nil, p.Err
	}
	id, err := s.RunID(r.Context(), r.PathValue("run"))
	if err != nil {
		return nil, nil, err
	}
	sub := s.Broker.Subscribe(id)
	f.run = id
	if err := f.begin(r.Context(), place, tail); err != nil {
		sub.Close()
		return nil, nil, err
	}
	return f, sub, nil
}

// begin finds where the stream starts.
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
		if view, err = f.earlier(ctx, view); err != nil {
			return err
		}
	}
	f.show(view)
	f.steps = slices.Clone(view.Steps) // the run is shared with other followers
	if tail >= 0 {
		if err := f.startTail(ctx, view, tail); err != nil {
			return err
		}
	}
	f.sent(view)
	return nil
}

// resume takes the place that an event id, or a plain journal offset, names. It may be one that
// the journal has not reached: the server was restored from a backup, and the agent sends the
// rest again.
func (f *follower) resume(ctx context.Context, place string) error {
	attempt, pos, err := parseEventID(place)
	if err != nil {
		return err
	}
	if attempt == 0 {
		attempt = f.attempt
	}
	if f.pinned != 0 && attempt != f.pinned {
		return httpio.NewProblem(http.StatusBadRequest, "event id %s is of another attempt than the %d asked for", job.Quote(place), f.pinned)
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
	if b == nil || !b.block.Jumped && !endsAt(b.block, pos) { // a place in what was dropped goes on behind it
		return httpio.NewProblem(http.StatusBadRequest, "event id %s is no place between two records of the journal", job.Quote(place))
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

// eventID writes a place in a run: attempt and journal offset.
func eventID(attempt int, pos int64) string {
	return strconv.Itoa(attempt) + ":" + strconv.FormatInt(pos, 10)
}

// parseEventID reads what eventID wrote. Attempt 0 stands for a plain offset.
func parseEventID(text string) (attempt int, pos int64, err error) {
	wrong := httpio.NewProblem(http.StatusBadRequest, "%s is not a place in a run: want attempt:offset, as event ids are", job.Quote(text))
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
