package server

import (
	"crypto/tls"
	"log/slog"
	"time"

	"stint.dev/stint/internal/access"
)

// RouteRow is a row of the route table, for tests outside the package.
type RouteRow struct {
	Method, Pattern, Summary string
	Scope                    access.Scope
}

// RouteList is the route table of a server.
func RouteList(s *Server) []RouteRow {
	var out []RouteRow
	for _, rt := range s.table {
		out = append(out, RouteRow{rt.method, rt.pattern, rt.summary, rt.scope})
	}
	return out
}

// Certificate is what a server shows at a time, from a pair of files.
func Certificate(certFile, keyFile string, log *slog.Logger) (func(time.Time) *tls.Certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	return c.current, c.load()
}
