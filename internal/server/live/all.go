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

// StreamAll follows every change of state and health, with a snapshot of each run that
// changed. A client without Last-Event-ID begins now.
func (s *Streams) StreamAll(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	p := httpio.NewParams(r)
	place, err := s.streamTurn(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer place.Leave()
	sub := s.Broker.Subscribe("")
	defer sub.Close()
	after, err := s.allPlace(r, p)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	out := startEvents(w, s.WritePause)
	if r.Method == http.MethodHead {
		return
	}
	err = s.pump(ctx, out, sub, func(ctx context.Context) (bool, error) {
		next, err := s.sendChanges(ctx, out, after)
		if ctx.Err() != nil {
			return false, &httpio.GoneError{Err: ctx.Err()}
		}
		after = next
		return false, err
	})
	if err != nil {
		s.BreakOff(r, err)
	}
}

// allPlace is the id of the last change that the client knows; of the newest one when it names
// none.
func (s *Streams) allPlace(r *http.Request, p *httpio.Params) (int64, error) {
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
		return 0, httpio.NewProblem(http.StatusBadRequest, "Last-Event-ID %s is not known on this server: read the runs again, and follow without it", job.Quote(last))
	}
	return after, nil
}

// sendChanges sends the changes after an id and returns the last one sent. The snapshots
// come before the changes they belong to: a client that is cut off in between gets them
// again, where the other order would lose them.
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
				continue // the change is sent all the same
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
