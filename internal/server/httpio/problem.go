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

// Problem is a job.Problem with the methods that huma requires of errors. All errors that clients get
// are Problems.
type Problem struct {
	job.Problem
}

// GetStatus returns the status for huma.
func (p *Problem) GetStatus() int { return p.Status }

// ContentType returns the media type for huma.
func (p *Problem) ContentType(string) string { return ProblemType }

// GetHeaders returns the header Retry-After, if the problem has one.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", retrySeconds(p.RetryAfter))
	}
	return h
}

// ProblemType is the media type of problem details, RFC 9457.
const ProblemType = "application/problem+json"

// InternalText is the detail of a problem that only the server's log explains.
const InternalText = "the request failed because of an error in the server; see the server's log"

// NewProblem returns a problem with a status. Its detail should say what was wrong, with what, and what
// to do.
func NewProblem(status int, format string, args ...any) *Problem {
	return &Problem{job.Problem{
		Type: job.ProblemType(status), Title: http.StatusText(status), Status: status,
		Detail: fmt.Sprintf(format, args...),
	}}
}

// Busy returns a problem for a valid request that may be retried after a time.
func Busy(status int, after time.Duration, format string, args ...any) *Problem {
	p := NewProblem(status, format, args...)
	p.RetryAfter = after
	return p
}

// AsProblem returns the problem for an error. An internal error gets the status 500 and InternalText,
// because its own text belongs in the log.
func AsProblem(err error) *Problem {
	var (
		p         *Problem
		inner     *job.Problem
		notFound  *query.NotFoundError
		ambiguous *query.AmbiguousError
		invalid   *job.InvalidError
		refused   *index.RefusedError
		corrupt   *journal.CorruptError
		newer     *journal.NewerError
		state     *job.RefusedError
		early     *index.TooEarlyError
		active    *query.ActiveJobError
		going     *query.ActiveRunError
		deleted   *query.DeletedRunError
		noKey     *outbox.SecretKeyError
	)
	if errors.As(err, &p) {
		return p
	}
	if p := journalProblem(err); p != nil {
		return p
	}
	switch {
	case errors.As(err, &inner):
		return &Problem{*inner}
	case errors.As(err, &deleted):
		out := NewProblem(http.StatusGone, "%s", deleted)
		out.Type = job.ProblemRunDeleted
		return out
	case errors.As(err, &notFound):
		return NewProblem(http.StatusNotFound, "%s", notFound)
	case errors.As(err, &ambiguous):
		out := NewProblem(http.StatusConflict, "%s", ambiguous)
		out.Candidates = ambiguous.Matches
		return out
	case errors.As(err, &invalid):
		return NewProblem(http.StatusBadRequest, "%s", invalid)
	case errors.As(err, &refused), errors.As(err, &corrupt), errors.As(err, &newer):
		return NewProblem(http.StatusUnprocessableEntity, "%s", err)
	case errors.As(err, &early):
		return Busy(http.StatusServiceUnavailable, time.Second, "%s", early)
	case errors.As(err, &active):
		return NewProblem(http.StatusConflict, "%s", active)
	case errors.As(err, &going):
		return NewProblem(http.StatusConflict, "%s", going)
	case errors.As(err, &noKey):
		return NewProblem(http.StatusConflict, "%s", noKey)
	case errors.As(err, &state):
		return NewProblem(http.StatusConflict, "%s", state)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return Busy(http.StatusServiceUnavailable, time.Second, "the database did not respond in time: try again")
	case isUnavailable(err):
		return Busy(http.StatusServiceUnavailable, time.Second, "the database is not available at the moment: try again; see the server's log")
	}
	return NewProblem(http.StatusInternalServerError, InternalText)
}

// journalProblem returns the problem for an append that the server does not take as it is, by whose type the agent decides what
// to do; nil for any other error.
func journalProblem(err error) *Problem {
	var (
		offset    *index.OffsetError
		taken     *index.WriterError
		submitted *index.SubmittedError
		whole     *index.WholeError
	)
	switch {
	case errors.As(err, &offset):
		out := NewProblem(http.StatusConflict, "%s", offset)
		out.Type, out.Size = job.ProblemWrongOffset, &offset.Size
		return out
	case errors.As(err, &taken):
		out := NewProblem(http.StatusConflict, "%s", taken)
		out.Type, out.Writer = job.ProblemJournalTaken, &taken.Writer
		return out
	case errors.As(err, &submitted):
		out := NewProblem(http.StatusConflict, "%s", submitted)
		out.Type = job.ProblemRunSubmitted
		return out
	case errors.As(err, &whole):
		out := NewProblem(http.StatusConflict, "%s", whole)
		out.Type, out.Size = job.ProblemJournalWhole, &whole.Size
		return out
	}
	return nil
}

// ErrorWriter writes errors as problems, and logs internal ones.
type ErrorWriter struct {
	Log *slog.Logger
	// Installation is the id of the database, which problems name.
	Installation string
}

// Fail responds with the problem for err. It logs an internal error, which its caller must not do.
func (e ErrorWriter) Fail(w http.ResponseWriter, r *http.Request, err error) {
	p := *e.explain(r, err) // a copy: it may be a value that others share
	p.Server = e.Installation
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="stint"`)
	}
	WriteJSON(w, ProblemType, p.Status, &p)
}

// explain returns the problem for err, and logs an internal error.
func (e ErrorWriter) explain(r *http.Request, err error) *Problem {
	p := AsProblem(err)
	if (p.Status == http.StatusInternalServerError || isUnavailable(err)) && r.Context().Err() == nil {
		e.Log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return p
}

// ProblemOf returns the problem for an error of the store, for typed handlers: huma would send the text
// of another error to the client. doing says what failed. It logs an internal error.
func (e ErrorWriter) ProblemOf(ctx context.Context, doing string, err error) error {
	p := AsProblem(err)
	if p.Status == http.StatusInternalServerError && ctx.Err() == nil {
		e.Log.Error("request failed", "error", fmt.Errorf("%s: %w", doing, err))
	}
	return p
}

// WriteJSON responds with v as JSON. Errors of writing are ignored: the client has gone.
func WriteJSON(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"type":"`+job.ProblemInternal+`","title":"Internal Server Error","status":500}`)
		contentType = ProblemType
	}
	WriteBody(w, contentType, status, append(body, '\n'))
}

// WriteBody responds with bytes. Errors of writing are ignored: the client has gone.
func WriteBody(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// OK responds with v as JSON and the status 200.
func OK(w http.ResponseWriter, v any) { WriteJSON(w, "application/json", http.StatusOK, v) }

// retrySeconds returns the value of Retry-After: whole seconds, at least one.
func retrySeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}

// Abort ends a response that has begun and cannot be completed. It closes the connection by a panic with
// http.ErrAbortHandler, so that the client does not take a part for the whole.
func (e ErrorWriter) Abort(r *http.Request, err error) {
	var gone *GoneError
	switch {
	case errors.As(err, &gone), r.Context().Err() != nil:
	case AsProblem(err).Status == http.StatusTooManyRequests: // clients can cause any number of these
		e.Log.Debug("a response was not completed", "path", r.URL.Path, "error", err)
	default:
		e.Log.Error("a response was not completed", "path", r.URL.Path, "error", err)
	}
	panic(http.ErrAbortHandler)
}
