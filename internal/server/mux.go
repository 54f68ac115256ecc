package server

import (
	"fmt"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// newHandler returns the handler of all requests, made from the route table, and sets the OpenAPI
// document and page.
func (s *Server) newHandler() (http.Handler, error) {
	s.table = s.routes()
	mux := http.NewServeMux()
	typed, spec, err := route.Describe(s.table, s.cfg.Version)
	if err != nil {
		return nil, err
	}
	s.spec = spec
	if s.page, err = route.RenderPage(spec); err != nil {
		return nil, fmt.Errorf("render the page of the API: %w", err)
	}
	s.pageStyles = route.StylesOf(s.page)
	for _, rt := range s.table {
		h := rt.Handle
		if rt.Typed != nil {
			h = typed[rt.Key()]
		}
		if rt.Typed != nil && rt.Method == http.MethodGet {
			h = httpio.Compressed(h)
		}
		mux.HandleFunc(rt.Key(), s.guard(rt, h))
	}
	for _, key := range shadowedKeys(s.table) {
		mux.HandleFunc(key, func(w http.ResponseWriter, r *http.Request) { s.handleUnrouted(w, r, mux) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.handleUnrouted(w, r, mux) })
	return s.withChecks(mux, http.NewCrossOriginProtection()), nil
}

// methods are the methods of requests that are checked against the route table.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// shadowedKeys returns the patterns, as ServeMux writes them, that no row has and that a more
// general row would match: without them, GET /runs/cancel is a request for the run "cancel".
func shadowedKeys(table []route.Row) []string {
	has := map[string]bool{}
	for _, rt := range table {
		has[rt.Key()] = true
	}
	var out []string
	for _, rt := range table {
		for _, m := range methods {
			key := m + " " + rt.Pattern
			if m == "HEAD" || has[key] { // HEAD is GET's
				continue
			}
			if slices.ContainsFunc(table, func(other route.Row) bool { return other.Method == m && covers(other.Pattern, rt.Pattern) }) {
				has[key] = true
				out = append(out, key)
			}
		}
	}
	return out
}

// covers reports whether a pattern matches every path that the other pattern matches.
func covers(pattern, other string) bool {
	a, b := strings.Split(pattern, "/"), strings.Split(other, "/")
	if pattern == other || len(a) != len(b) {
		return false
	}
	for i, part := range a {
		if part != b[i] && !strings.HasPrefix(part, "{") {
			return false
		}
	}
	return true
}

// guard returns a handler that applies the limits and the access rules of a route before it calls
// the handler of the route.
func (s *Server) guard(rt route.Row, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if !rt.Stream {
			// Only the recorder of a test has no deadlines.
			_ = rc.SetWriteDeadline(time.Now().Add(httpio.ResponseTimeout))
		}
		if rt.Body == 0 && r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, httpio.NewPacedReader(w, r, jsonBodyTimeout, jsonBodyTimeout), httpio.MaxJSONBody)
		}
		who, err := s.access.Authorize(r, rt)
		if err == nil {
			err = checkQuery(r)
		}
		if err != nil {
			s.finder.Fail(w, r, err)
			return
		}
		if rt.Scope != access.Public {
			who.Address = conns.AddressOf(r).String()
			r = r.WithContext(access.WithCaller(r.Context(), who))
			conns.Assign(r, who.Owner())
		}
		if rt.Typed != nil && rt.Typed.BodyType != nil {
			if err := httpio.CheckBody(r, rt.Typed.BodyType); err != nil {
				s.finder.Fail(w, r, err)
				return
			}
		}
		if rt.Stream {
			var end func()
			r, end = s.access.WhileAllowed(rt, r)
			defer end()
		}
		if rt.Audited() {
			s.access.HandleAudited(rt, h, w, r)
			return
		}
		h(w, r)
	}
}

// maxParameters is how many query parameters a request may have; no route has as many.
const maxParameters = 200

// checkQuery refuses a query with so many parameters that parsing it several times is expensive.
func checkQuery(r *http.Request) error {
	if n := strings.Count(r.URL.RawQuery, "&"); n >= maxParameters {
		return httpio.NewProblem(http.StatusBadRequest, "the query has %d parameters; the limit is %d", n+1, maxParameters)
	}
	return nil
}

// withChecks returns a handler that applies to every request what does not depend on its route:
// security headers, the checks of host and origin, and the recovery from panics.
func (s *Server) withChecks(mux http.Handler, cross *http.CrossOriginProtection) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recoverPanic(w, r)
		conns.KeepOpen(r)
		r = s.cfg.Proxies.Identify(r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if s.access.Secure(r) {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if isAPIPath(r.URL.Path) || isServerPath(r.URL.Path) {
			w.Header().Set("Cache-Control", "no-store") // responses change, and depend on the caller
		}
		if err := s.access.CheckHost(r); err != nil {
			s.finder.Fail(w, r, err)
			return
		}
		if !ping.IsPath(r.URL.Path) && cross.Check(r) != nil { // pings are checked for all methods, unless they have a secret
			s.finder.Fail(w, r, httpio.NewProblem(http.StatusForbidden,
				"the request was sent by a web page of another site: only pages of this server may change anything"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// recoverPanic responds with 500 when a handler panics, and logs the stack. It must be deferred.
// http.ErrAbortHandler, with which a handler closes its connection, is passed on.
func (s *Server) recoverPanic(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.metrics.panics.Inc()
	s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	s.finder.Fail(w, r, httpio.NewProblem(http.StatusInternalServerError, "%s", httpio.InternalText))
}

// handleUnrouted handles requests that no row of the table matches: a wrong method, a path of the
// API that does not exist, or the web page.
func (s *Server) handleUnrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	if path, ok := ping.PathOf(r.URL.Path); ok {
		to := *r.URL
		to.Path, to.RawPath = path, ""
		r = r.Clone(r.Context())
		r.URL = &to
		mux.ServeHTTP(w, r)
		return
	}
	if allowed := s.methodsFor(mux, r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusMethodNotAllowed, "the method %s is not allowed on %s: use %s",
			job.Quote(r.Method), job.Quote(r.URL.Path), strings.Join(allowed, " or ")))
		return
	}
	if isAPIPath(r.URL.Path) {
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "the API has no path %s: /api/docs lists its paths", job.Quote(r.URL.Path)))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusMethodNotAllowed, "the method %s is not allowed on a page: use GET", job.Quote(r.Method)))
		return
	}
	if s.cfg.UI == nil {
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "this server was built without web pages: /api/docs describes its API"))
		return
	}
	setPageHeaders(w, "'self'")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(httpio.ResponseTimeout))
	s.cfg.UI.ServeHTTP(w, r)
}

// isAPIPath reports whether a path belongs to the API and not to the web page.
func isAPIPath(path string) bool {
	for _, prefix := range []string{"/api", "/compat", "/ping", "/schema"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// isServerPath reports whether a path is one for monitoring the server itself.
func isServerPath(path string) bool {
	return path == "/healthz" || path == "/readyz" || path == "/metrics" || strings.HasPrefix(path, "/metrics/")
}

// methodsFor returns the methods that the table has for the path of a request.
func (s *Server) methodsFor(mux *http.ServeMux, r *http.Request) []string {
	var out []string
	for _, m := range methods {
		try := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		_, pattern := mux.Handler(try)
		row := slices.ContainsFunc(s.table, func(rt route.Row) bool { return rt.Method == m && rt.Key() == pattern })
		if row || m == "HEAD" && slices.Contains(out, "GET") {
			out = append(out, m)
		}
	}
	return out
}

// setPageHeaders sets the headers of a response that a browser shows. styles is the source, as the
// content security policy writes it, from which the page may load styles.
func setPageHeaders(w http.ResponseWriter, styles string) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; style-src "+styles+"; img-src 'self' data:; "+
		"connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
}
