package logs

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/logs/search"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/shares"
	"stint.dev/stint/job"
)

const (
	defaultMatches = 1000
	maxMatches     = 10_000
	maxContext     = 100
	// searchTurnTimeout is how long a search waits for others to end.
	searchTurnTimeout = 5 * time.Second
	// maxSearchesOfOwner is how many searches one client may run while others wait.
	maxSearchesOfOwner = 2
	// searchStallLimit is how long a search may make no progress, because its client does not read,
	// before it may be ended for another one.
	searchStallLimit = time.Second
)

// parseSearch parses the parameters of a search. attempt is 0 for the last one.
func parseSearch(r *http.Request) (q search.Query, attempt int, err error) {
	p := httpio.NewParams(r, "q", "regex", "case", "attempt", "step", "stream", "from_line", "to_line",
		"before", "after", "limit", "direction")
	q.Filter = p.Filter()
	attempt = int(p.Number("attempt", 1, job.MaxAttempt, 0))
	q.From = p.Number("from_line", 1, httpio.MaxNumber, 1)
	q.To = p.Number("to_line", 1, httpio.MaxNumber, 0)
	q.Before = p.Number("before", 0, maxContext, 0)
	q.After = p.Number("after", 0, maxContext, 0)
	q.Limit = p.Number("limit", 0, maxMatches, defaultMatches)
	q.Back = p.Values.Get("direction") == "back"
	isRegexp, exactCase := p.Bool("regex", false), p.Bool("case", false)
	switch direction := p.Values.Get("direction"); {
	case direction != "" && direction != "back" && direction != "forward":
		p.Refuse("direction=%s: want forward or back", job.Quote(direction))
	case q.Back && (q.Before > 0 || q.After > 0):
		p.Refuse("before and after cannot be combined with direction=back: read the lines around a match with from_line")
	case q.Back && q.Limit == 0:
		p.Refuse("limit=0, which only counts, cannot be combined with direction=back")
	}
	if p.Err != nil {
		return q, attempt, p.Err
	}
	q.Matcher, err = search.NewMatcher(p.Values.Get("q"), isRegexp, exactCase)
	return q, attempt, patternProblem(err)
}

// patternProblem returns the problem for the error of an invalid pattern, and any other error unchanged.
func patternProblem(err error) error {
	var bad *search.PatternError
	switch {
	case !errors.As(err, &bad):
		return err
	case bad.Expression:
		return httpio.NewProblem(http.StatusUnprocessableEntity, "%s", bad)
	}
	return httpio.NewProblem(http.StatusBadRequest, "%s", bad)
}

// SearchLog searches the log of a run, and sends each matching line as soon as it is found.
func (s *Logs) SearchLog(w http.ResponseWriter, r *http.Request) {
	q, attempt, err := parseSearch(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	view, err := s.FindAttempt(r.Context(), r.PathValue("run"), attempt)
	if err == nil {
		err = q.ChooseStep(view)
	}
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	ctx, place, err := s.SearchTurn(r)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	defer place.Leave()
	h := w.Header()
	h.Set("Content-Type", "application/x-ndjson")
	h.Set("X-Accel-Buffering", "no") // a proxy must not buffer results
	h.Set(headerLogRun, view.ID)
	h.Set(headerLogAttempt, strconv.Itoa(view.Attempt))
	if r.Method == http.MethodHead {
		return
	}
	out := httpio.NewWriter(w, s.WriteTimeout)
	out.Until = time.Now().Add(s.SearchTimeout + s.WriteTimeout)
	defer context.AfterFunc(ctx, out.Cut)()
	err = search.Run(ctx, s.Store, out, view, q, search.Options{Limit: s.SearchTimeout, Stopping: s.Stopping, Progress: place.Progress})
	switch {
	case err != nil && ctx.Err() != nil:
		s.Abort(r, &httpio.GoneError{Err: ctx.Err()})
	case err != nil:
		s.Abort(r, err)
	}
}

// SearchTurn waits for a place among the searches. The context that it returns ends when the search must
// end for another one, because its client does not read.
func (s *Logs) SearchTurn(r *http.Request) (context.Context, *shares.Place, error) {
	ctx, cancel := context.WithCancel(r.Context())
	limit, stop := context.WithTimeout(ctx, searchTurnTimeout)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-s.Stopping:
			stop()
		case <-limit.Done():
		}
	})
	defer func() { stop(); watch.Wait() }()
	place, err := s.searches.EnterWait(limit, access.CallerOf(r.Context()).Owner(), 1, cancel)
	if err == nil {
		return ctx, place, nil
	}
	cancel()
	var full *shares.FullError
	switch {
	case r.Context().Err() != nil:
		return nil, nil, r.Context().Err()
	case s.isStopping():
		return nil, nil, httpio.Busy(http.StatusServiceUnavailable, time.Second, "the server is shutting down")
	case errors.As(err, &full) && full.Own:
		return nil, nil, httpio.Busy(http.StatusTooManyRequests, searchTurnTimeout, "%d other searches of this client are running: try again", full.Limit)
	}
	return nil, nil, httpio.Busy(http.StatusTooManyRequests, searchTurnTimeout, "%d other searches are running: try again", s.MaxSearches)
}
