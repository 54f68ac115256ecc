package route

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"

	"stint.dev/stint/internal/server/httpio"
)

// Handler is a typed handler as huma calls it.
type Handler[I, O any] func(context.Context, *I) (*O, error)

// RunPath is the input of a handler whose path has {run}.
type RunPath struct {
	Run string `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
}

// Response is the response of a typed handler.
type Response[T any] struct{ Body T }

// OK returns the results of a typed handler that responds with body.
func OK[T any](body T) (*Response[T], error) { return &Response[T]{Body: body}, nil }

// JobPath is the input of a handler whose path has {job}.
type JobPath struct {
	Job string `path:"job" maxLength:"600" doc:"The job's name."`
}

// useProblems makes huma return errors as problems, for which it has only a package variable. Its status 422
// for an invalid parameter or body becomes 400, because in this API 422 means that a journal is refused.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		if status == http.StatusUnprocessableEntity {
			status = http.StatusBadRequest
		}
		return httpio.NewProblem(status, "%s", validationDetail(msg, errs))
	}
})

// validationDetail returns huma's message and its details as one line of limited length.
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
	msg = httpio.Printable(msg) // it may quote the request
	const limit = 500
	if len(msg) > limit {
		msg = strings.ToValidUTF8(msg[:limit], "") + "…"
	}
	return msg
}
