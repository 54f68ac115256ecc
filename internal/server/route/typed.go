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

// RunPath names a run in a path.
type RunPath struct {
	Run string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
}

// Answer is what a typed handler answers with.
type Answer[T any] struct{ Body T }

// OK is the answer of a typed handler that did what was asked.
func OK[T any](body T) (*Answer[T], error) { return &Answer[T]{Body: body}, nil }

// JobPath names a job in a path.
type JobPath struct {
	Job string `path:"job" maxLength:"600" doc:"The job's name."`
}

// useProblems makes huma answer with problems. Huma has no other place for that than its package
// variable. Its 422 for a bad parameter or body becomes 400: here 422 is only for a journal that
// can never be taken.
var useProblems = sync.OnceFunc(func() {
	huma.NewError = func(status int, msg string, errs ...error) huma.StatusError {
		if status == http.StatusUnprocessableEntity {
			status = http.StatusBadRequest
		}
		return httpio.NewProblem(status, "%s", validationDetail(msg, errs))
	}
})

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
	msg = httpio.Printable(msg) // it may quote what the client sent
	const most = 500
	if len(msg) > most {
		msg = strings.ToValidUTF8(msg[:most], "") + "…"
	}
	return msg
}
