package server

import (
	"crypto/tls"
	"log/slog"
	"reflect"
	"time"

	"stint.dev/stint/internal/access"
)

// RouteRow is a row of the route table, for tests outside the package.
type RouteRow struct {
	Method, Pattern, Summary string
	Scope                    access.Scope
	// Takes is the media type of the body; empty for none. Body is its type when it is JSON.
	Takes string
	Body  reflect.Type
}

// RouteList is the route table of a server.
func RouteList(s *Server) []RouteRow {
	var out []RouteRow
	for _, rt := range s.table {
		row := RouteRow{Method: rt.method, Pattern: rt.pattern, Summary: rt.summary, Scope: rt.scope, Takes: rt.doc.request}
		switch {
		case rt.rest != nil && rt.rest.body != nil:
			row.Takes, row.Body = "application/json", rt.rest.body
		case rt.doc.body != nil:
			row.Body = reflect.TypeOf(rt.doc.body)
		}
		out = append(out, row)
	}
	return out
}

// Certificate is what a server shows at a time, from a pair of files.
func Certificate(certFile, keyFile string, log *slog.Logger) (func(time.Time) *tls.Certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c.current, c.load()
}
