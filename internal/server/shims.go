package server

import (
	"context"
	"net/http"

	"stint.dev/stint/internal/server/route"
)

// The names that logs, searches and live streams use until they have packages of their own.

// fail answers with the problem that err is.
func (s *Server) fail(w http.ResponseWriter, r *http.Request, err error) { s.finder.Fail(w, r, err) }

// internal turns an error of the store into what the client is told.
func (s *Server) internal(ctx context.Context, doing string, err error) error {
	return s.finder.Internal(ctx, doing, err)
}

// findRun is the id of the run that a path names.
func (s *Server) findRun(ctx context.Context, text string) (string, error) {
	return s.finder.FindRun(ctx, text)
}

var attemptParam = param{"attempt", "query", route.AttemptText, "integer"}

// doc, param and content describe a route of those files.
type (
	doc struct {
		text    string
		params  []param
		answers []content
		errors  []int
	}
	param   struct{ name, in, text, kind string }
	content struct {
		mediaType string
		value     any
	}
)

// row is the same for a row of the table.
func (d doc) row() route.Doc {
	out := route.Doc{Text: d.text, Errors: d.errors}
	for _, p := range d.params {
		out.Params = append(out.Params, route.Query(p.name, p.text, p.kind))
	}
	for _, a := range d.answers {
		out.Answers = append(out.Answers, route.Media(a.mediaType, a.value))
	}
	return out
}
