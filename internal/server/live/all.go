package live

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/job"
)

// eventPage is how many changes are read at once.
const eventPage = 200

// StreamAll streams the changes of state and health of all runs, with a snapshot of each run that
// changed. Without Last-Event-ID it begins with the next change.
func (s *Streams) StreamAll(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p := httpio.NewParams(r)
	place, err := s.enter(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer place.Leave()
	sub := s.Broker.Subscribe("")
	defer sub.Close()
	after, err := s.lastEventID(r, p)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	out := startEvents(w, s.WriteTimeout)
	if r.Method == http.MethodHead {
		return
	}
	err = s.serve(ctx, out, sub, func(ctx context.Context) (bool, error) {
		next, err := s.sendChanges(ctx, out, after)
		if ctx.Err() != nil {
			return false, &httpio.GoneError{Err: ctx.Err()}
		}
		after = next
		return false, err
	})
	if err != nil {
		s.Abort(r, err)
	}
}

// lastEventID returns the id of the last change that the client has received, or of the newest change if
// the request has none.
func (s *Streams) lastEventID(r *http.Request, p *httpio.Params) (int64, error) {
	if p.Err != nil {
		return 0, p.Err
	}
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		return s.Store.LastEventID(r.Context())
	}
	after, err := strconv.ParseInt(last, 10, 64)
	known := err == nil && after >= 0
	if known {
		if known, err = s.Store.KnowsEventID(r.Context(), after); err != nil {
			return 0, err
		}
	}
	if !known {
		return 0, httpio.NewProblem(http.StatusBadRequest, "the Last-Event-ID %s does not exist on this server: read the runs again, and connect without it", job.Quote(last))
	}
	return after, nil
}

// sendChanges sends the changes after an id, and returns the id of the last one sent. Snapshots are sent
// before the changes they belong to, because a client that is cut off in between then gets them again.
func (s *Streams) sendChanges(ctx context.Context, out *eventWriter, after int64) (int64, error) {
	for {
		changes, err := s.Broker.recent.events(ctx, s.Store, after)
		if err != nil || len(changes) == 0 {
			return after, err
		}
		sent := make(map[string]bool)
		for _, c := range changes {
			if sent[c.Run] {
				continue
			}
			sent[c.Run] = true
			run, err := s.Broker.recent.run(ctx, s.Store, c.Run)
			var gone *query.NotFoundError
			var bad *query.UnreadableError
			if errors.As(err, &gone) || errors.As(err, &bad) {
				continue // the change is sent without a snapshot
			}
			if err != nil {
				return after, err
			}
			if err := out.event("run", "", run); err != nil {
				return after, err
			}
		}
		for _, c := range changes {
			if err := out.event("change", strconv.FormatInt(c.ID, 10), c); err != nil {
				return after, err
			}
			after = c.ID
		}
	}
}
