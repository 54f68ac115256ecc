package server

import (
	"crypto/tls"
	"log/slog"
	"reflect"
	"time"

	"stint.dev/stint/internal/access"
	accessapi "stint.dev/stint/internal/server/access"
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
		row := RouteRow{Method: rt.Method, Pattern: rt.Pattern, Summary: rt.Summary, Scope: rt.Scope, Takes: rt.Doc.Request}
		switch {
		case rt.Typed != nil && rt.Typed.BodyType != nil:
			row.Takes, row.Body = "application/json", rt.Typed.BodyType
		case rt.Doc.Body != nil:
			row.Body = reflect.TypeOf(rt.Doc.Body)
		}
		out = append(out, row)
	}
	return out
}

// Certificate is what a server shows at a time, from a pair of files.
func Certificate(certFile, keyFile string, log *slog.Logger) (func(time.Time) *tls.Certificate, error) {
	var at time.Time
	cfg, err := accessapi.TLSConfig(certFile, keyFile, "", func() time.Time { return at }, log)
	return func(now time.Time) *tls.Certificate {
		at = now
		shown, _ := cfg.GetCertificate(nil) // it has no way to fail
		return shown
	}, err
}
