package httpio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Problem is job.Problem as huma wants an error: with a status and the media type of
// RFC 9457. Everything that clients see as an error is one of these.
type Problem struct {
	job.Problem
}

// GetStatus is one of the methods that huma looks for, as ContentType and GetHeaders are.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType is the media type of a problem.
func (p *Problem) ContentType(string) string { return ProblemType }

// GetHeaders carries Retry-After through huma.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", retrySeconds(p.RetryAfter))
	}
	return h
}

// ProblemType is the media type of problem details, RFC 9457.
const ProblemType = "application/problem+json"

// NewProblem makes a problem whose detail says what, on what, and what to do.
func NewProblem(status int, format string, args ...any) *Problem {
	return &Problem{job.Problem{
		Type: job.ProblemType(status), Title: http.StatusText(status), Status: status,
		Detail: fmt.Sprintf(format, args...),
	}}
}

// Busy is a refusal for now: nothing is wrong with the request.
func Busy(status int, after time.Duration, format string, args ...any) *Problem {
	p := NewProblem(status, format, args...)
	p.RetryAfter = after
	return p
}

// AsProblem turns any error into a problem for the client. An error that is the server's
// own becomes a 500 without its text, which belongs in the log.
func AsProblem(err error) *Problem {
	var (
		p         *Problem
		given     *job.Problem
		notFound  *query.NotFoundError
		ambiguous *query.AmbiguousError
		invalid   *job.InvalidError
		offset    *index.OffsetError
		taken     *index.TakenError
		refused   *index.RefusedError
		corrupt   *journal.CorruptError
		newer     *journal.NewerError
		state     *job.RefusedError
		early     *index.NotYetError
		active    *query.ActiveJobError
		noKey     *outbox.SecretKeyError
	)
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &given):
		return &Problem{*given}
	case errors.As(err, &notFound):
		return NewProblem(http.StatusNotFound, "%s", notFound)
	case errors.As(err, &ambiguous):
		return NewProblem(http.StatusConflict, "%s", ambiguous)
	case errors.As(err, &invalid):
		return NewProblem(http.StatusBadRequest, "%s", invalid)
	case errors.As(err, &offset):
		out := NewProblem(http.StatusConflict, "%s", offset)
		out.Type, out.Size = job.ProblemWrongOffset, &offset.Size
		return out
	case errors.As(err, &taken):
		out := NewProblem(http.StatusConflict, "%s", taken)
		out.Type, out.Writer = job.ProblemJournalTaken, &taken.Writer
		return out
	case errors.As(err, &refused), errors.As(err, &corrupt), errors.As(err, &newer):
		return NewProblem(http.StatusUnprocessableEntity, "%s", err)
	case errors.As(err, &early):
		return Busy(http.StatusServiceUnavailable, time.Second, "%s", early)
	case errors.As(err, &active):
		return NewProblem(http.StatusConflict, "%s", active)
	case errors.As(err, &noKey):
		return NewProblem(http.StatusConflict, "%s", noKey)
	case errors.As(err, &state):
		return NewProblem(http.StatusConflict, "%s", state)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Busy(http.StatusServiceUnavailable, time.Second, "the database did not answer in time: try again")
	case unavailable(err):
		return Busy(http.StatusServiceUnavailable, time.Second, "the database cannot do it at the moment; the server's log says why: try again")
	}
	return NewProblem(http.StatusInternalServerError, "the server failed; its log says why")
}

// Replies writes problems, and logs what is the server's own fault.
type Replies struct{ Log *slog.Logger }

// Fail answers with the problem that err is. What is the server's own fault is logged
// here, and only here.
func (a Replies) Fail(w http.ResponseWriter, r *http.Request, err error) {
	p := a.explain(r, err)
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="stint"`)
	}
	WriteJSON(w, ProblemType, p.Status, p)
}

// explain is AsProblem with the log line for what is the server's own fault.
func (a Replies) explain(r *http.Request, err error) *Problem {
	p := AsProblem(err)
	if (p.Status == http.StatusInternalServerError || unavailable(err)) && r.Context().Err() == nil {
		a.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return p
}

// Internal turns an error of the store into a problem for the client; huma would show the
// text of an error that is not a problem. What is the server's own fault is logged.
func (a Replies) Internal(ctx context.Context, doing string, err error) error {
	p := AsProblem(err)
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		a.Log.Error("request failed", "error", fmt.Errorf("%s: %w", doing, err))
	}
	return p
}

// WriteJSON answers with v. A client that has gone does not notice.
func WriteJSON(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"type":"`+job.ProblemInternal+`","title":"Internal Server Error","status":500}`)
		contentType = ProblemType
	}
	WriteBody(w, contentType, status, append(body, '\n'))
}

// WriteBody answers with bytes.
func WriteBody(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// Answer writes v as the JSON of a successful answer.
func Answer(w http.ResponseWriter, v any) { WriteJSON(w, "application/json", http.StatusOK, v) }

// retrySeconds writes Retry-After, which counts whole seconds, at least one.
func retrySeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// BreakOff ends an answer that has begun and cannot be finished: the connection is cut,
// so that the client does not take a part for the whole.
func (a Replies) BreakOff(r *http.Request, err error) {
	var gone *GoneError
	switch {
	case errors.As(err, &gone), r.Context().Err() != nil:
	case AsProblem(err).Status == http.StatusTooManyRequests: // as often as the client likes
		a.Log.Debug("answer cut short", "path", r.URL.Path, "error", err)
	default:
		a.Log.Error("answer cut short", "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}
