package server

// RouteRow is a row of the route table, for tests outside the package.
type RouteRow struct {
	Method, Pattern, Summary string
	Scope                    Scope
}

// RouteList is the route table of a server.
func RouteList(s *Server) []RouteRow {
	var out []RouteRow
	for _, rt := range s.table {
		out = append(out, RouteRow{rt.method, rt.pattern, rt.summary, rt.scope})
	}
	return out
}
