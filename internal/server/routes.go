package server

import (
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"stint.dev/stint/internal/access"
)

// route is one row of the table: all that routing, access, limits and documentation need.
type route struct {
	method  string
	pattern string
	scope   access.Scope
	summary string
	// Exactly one of handle and rest is set. rest registers a typed operation with huma,
	// which documents itself; a plain handler brings its documentation in doc.
	handle http.HandlerFunc
	rest   *typedHandler
	doc    doc
	// body is the most bytes of a request's body; 0 for a small JSON body's limit.
	body int64
	// stream marks answers that may take as long as they like; they set their own
	// write deadlines.
	stream bool
}

// routes is the table. Every route of the server is a row here and nowhere else: first
// what is about runs, then the compat wire and the server itself.
func (s *Server) routes() []route {
	return slices.Concat(s.runRoutes(), s.jobRoutes(), s.readBackRoutes(), s.healthRoutes(), s.actionRoutes(), s.accessRoutes(), s.ownRoutes())
}

func (s *Server) runRoutes() []route {
	const (
		runs    = "/api/v1/runs"
		run     = runs + "/{run}"
		attempt = run + "/attempts/{attempt}"
		beat    = attempt + "/heartbeat"
	)
	return []route{
		// Agents.
		{
			method: "POST", pattern: attempt + "/journal", scope: access.Agent, handle: s.postJournal, body: maxAppend,
			summary: "Append journal bytes at an offset", doc: docPostJournal,
		},
		{
			method: "GET", pattern: attempt + "/journal", scope: access.Read, handle: s.getJournal, stream: true,
			summary: "Download journal bytes from an offset", doc: docGetJournal,
		},
		{
			method: "POST", pattern: beat, scope: access.Agent, handle: s.postHeartbeat,
			summary: "Renew the lease of an attempt", doc: docHeartbeat,
		},

		// Reading.
		{method: "GET", pattern: runs, scope: access.Read, rest: rest(s.listRuns), summary: "List runs, newest first"},
		{method: "GET", pattern: runs + "/counts", scope: access.Read, rest: rest(s.countRuns), summary: "Count runs by state and health"},
		{method: "GET", pattern: "/api/v1/overview", scope: access.Read, rest: rest(s.getOverview), summary: "Get what needs attention, what is active and the last day of each job"},
		{method: "GET", pattern: "/api/v1/fleet", scope: access.Read, rest: rest(s.getFleet), summary: "Tell what agents and server are doing"},
		{method: "GET", pattern: run, scope: access.Read, rest: rest(s.getRun), summary: "Get one run"},
		{method: "GET", pattern: run + "/events", scope: access.Read, rest: rest(s.listEvents), summary: "List every change of a run's state and health"},
		{
			method: "GET", pattern: run + "/log", scope: access.Read, handle: s.getLog, stream: true,
			summary: "Read what a run printed", doc: docLog,
		},
		{
			method: "GET", pattern: run + "/log/search", scope: access.Read, handle: s.searchLog, stream: true,
			summary: "Search what a run printed", doc: docSearch,
		},
		{
			method: "GET", pattern: run + "/samples", scope: access.Read, handle: s.getSamples,
			summary: "Read CPU, memory and IO over time", doc: docSamples,
		},
		{
			method: "GET", pattern: run + "/stream", scope: access.Read, handle: s.streamRun, stream: true,
			summary: "Follow one run live (SSE)", doc: docStreamRun,
		},
		{
			method: "GET", pattern: "/api/v1/stream", scope: access.Read, handle: s.streamAll, stream: true,
			summary: "Follow changes of all runs live (SSE)", doc: docStreamAll,
		},
		// Acting.
		{method: "POST", pattern: runs + "/cancel", scope: access.Write, rest: rest(s.cancelRuns), summary: "Ask several runs to stop"},
		{method: "POST", pattern: run + "/cancel", scope: access.Write, rest: rest(s.cancelRun), summary: "Ask a run to stop"},
	}
}

func (s *Server) ownRoutes() []route {
	return []route{
		// The wire of the original tiny agent.
		{
			method: "PUT", pattern: "/compat/{job}/status", scope: access.Agent, handle: s.putCompatStatus,
			summary: "Report started, completed or failed", doc: docCompatStatus,
		},
		{
			method: "PUT", pattern: "/compat/{job}/heartbeat", scope: access.Agent, handle: s.putCompatHeartbeat,
			summary: "Report a sign of life", doc: docCompatHeartbeat,
		},

		// The server itself.
		{method: "GET", pattern: "/healthz", scope: access.Public, handle: s.getHealthz, summary: "Tell whether the process lives", doc: docHealthz},
		{method: "GET", pattern: "/readyz", scope: access.Public, handle: s.getReadyz, summary: "Tell whether the server can do its work", doc: docReadyz},
		{method: "GET", pattern: "/metrics", scope: access.Read, handle: s.getMetrics, summary: "Read the server's own figures", doc: docMetrics},
		{method: "GET", pattern: "/api/openapi.json", scope: access.Public, handle: s.getOpenAPI, summary: "Get this interface as OpenAPI 3.1", doc: docOpenAPI},
		{method: "GET", pattern: "/api/docs", scope: access.Public, handle: s.getDocs, summary: "Read this interface as a page", doc: docPage},
	}
}

// typedHandler is a handler whose parameters and answer have types.
type typedHandler struct {
	register func(api huma.API, op huma.Operation)
	body     reflect.Type // of the JSON body; nil for none
}

// rest makes a typed handler.
func rest[I, O any](h restHandler[I, O]) *typedHandler {
	t := &typedHandler{register: func(api huma.API, op huma.Operation) { huma.Register(api, op, h) }}
	if in := reflect.TypeFor[I](); in.Kind() == reflect.Struct {
		if f, ok := in.FieldByName("Body"); ok {
			t.body = f.Type
		}
	}
	return t
}
