package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// problem is job.Problem as huma wants an error: with a status and the media type of
// RFC 9457. Everything that clients see as an error is one of these.
type problem struct {
	job.Problem
}

// GetStatus and ContentType are the methods huma looks for.
func (p *problem) GetStatus() int { return p.Status }

func (p *problem) ContentType(string) string { return problemType }

// GetHeaders carries Retry-After through huma.
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", retrySeconds(p.RetryAfter))
	}
	return h
}

const problemType = "application/problem+json"

// newProblem makes a problem whose detail says what, on what, and what to do.
func newProblem(status int, format string, args ...any) *problem {
	return &problem{job.Problem{
		Type: job.ProblemType(status), Title: http.StatusText(status), Status: status,
		Detail: fmt.Sprintf(format, args...),
	}}
}

// busy is a refusal for now: nothing is wrong with the request.
func busy(status int, after time.Duration, format string, args ...any) *problem {
	p := newProblem(status, format, args...)
	p.RetryAfter = after
	return p
}

// init gives huma our problem as its error; huma has no other place for that than its
// package variable. Its 422 for a bad parameter or body becomes 400: here 422 is only for
// a journal that can never be taken.
func init() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		if status == http.StatusUnprocessableEntity {
			status = http.StatusBadRequest
		}
		return newProblem(status, "%s", validationDetail(msg, errs))
	}
}

// validationDetail puts huma's message and its details on one line of bounded length.
func validationDetail(msg string, errs []error) string {
	var parts []string
	for _, err := range errs {
		var d *huma.ErrorDetail
		switch {
		case err == nil:
		case errors.As(err, &d) && d.Location != "":
			parts = append(parts, d.Location+": "+d.Message)
		default:
			parts = append(parts, err.Error())
		}
	}
	if len(parts) > 0 {
		msg += ": " + strings.Join(parts, "; ")
	}
	msg = printable(msg) // it may quote what the client sent
	const most = 500
	if len(msg) > most {
		msg = strings.ToValidUTF8(msg[:most], "") + "…"
	}
	return msg
}

// asProblem turns any error into what the client is told. An error that is the server's
// own becomes a 500 without its text, which belongs in the log.
func asProblem(err error) *problem {
	var (
		p         *problem
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
		return &problem{*given}
	case errors.As(err, &notFound):
		return newProblem(http.StatusNotFound, "%s", notFound)
	case errors.As(err, &ambiguous):
		return newProblem(http.StatusConflict, "%s", ambiguous)
	case errors.As(err, &invalid):
		return newProblem(http.StatusBadRequest, "%s", invalid)
	case errors.As(err, &offset):
		out := newProblem(http.StatusConflict, "%s", offset)
		out.Type, out.Size = job.ProblemWrongOffset, &offset.Size
		return out
	case errors.As(err, &taken):
		out := newProblem(http.StatusConflict, "%s", taken)
		out.Type, out.Writer = job.ProblemJournalTaken, &taken.Writer
		return out
	case errors.As(err, &refused), errors.As(err, &corrupt), errors.As(err, &newer):
		return newProblem(http.StatusUnprocessableEntity, "%s", err)
	case errors.As(err, &early):
		return busy(http.StatusServiceUnavailable, time.Second, "%s", early)
	case errors.As(err, &active):
		return newProblem(http.StatusConflict, "%s", active)
	case errors.As(err, &noKey):
		return newProblem(http.StatusConflict, "%s", noKey)
	case errors.As(err, &state):
		return newProblem(http.StatusConflict, "%s", state)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return busy(http.StatusServiceUnavailable, time.Second, "the database did not answer in time: try again")
	case unavailable(err):
		return busy(http.StatusServiceUnavailable, time.Second, "the database cannot do it at the moment; the server's log says why: try again")
	}
	return newProblem(http.StatusInternalServerError, "the server failed; its log says why")
}

// fail answers with the problem that err is. What is the server's own fault is logged
// here, and only here.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) {
	p := s.explain(r, err)
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="stint"`)
	}
	writeJSON(w, problemType, p.Status, p)
}

// explain is asProblem with the log line for what is the server's own fault.
func (s *Server) explain(r *http.Request, err error) *problem {
	p := asProblem(err)
	if (p.Status == http.StatusInternalServerError || unavailable(err)) && r.Context().Err() == nil {
		s.log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
	}
	return p
}

// writeJSON answers with v. A client that has gone cannot be told so.
func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		status, body = http.StatusInternalServerError, []byte(`{"type":"`+job.ProblemInternal+`","title":"Internal Server Error","status":500}`)
		contentType = problemType
	}
	writeBody(w, contentType, status, append(body, '\n'))
}

// writeBody answers with bytes.
func writeBody(w http.ResponseWriter, contentType string, status int, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// answer writes v as the JSON of a successful answer.
func answer(w http.ResponseWriter, v any) { writeJSON(w, "application/json", http.StatusOK, v) }

// retrySeconds writes Retry-After, which counts whole seconds, at least one.
func retrySeconds(d time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil(d.Seconds()))))
}
