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
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// build makes the handler from the route table.
func (s *Server) build() (http.Handler, error) {
	s.table = s.routes()
	mux := http.NewServeMux()
	typed, spec, err := route.Describe(s.table, s.cfg.Version)
	if err != nil {
		return nil, err
	}
	s.spec = spec
	if s.page, err = route.RenderPage(spec); err != nil {
		return nil, fmt.Errorf("render the interface's page: %w", err)
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
	for _, key := range refusals(s.table) {
		mux.HandleFunc(key, func(w http.ResponseWriter, r *http.Request) { s.unrouted(w, r, mux) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { s.unrouted(w, r, mux) })
	return s.outer(mux, http.NewCrossOriginProtection()), nil
}

// methods are those of requests that a path may have to be refused for.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}

// refusals are methods and paths that no row has and that would be taken for another row's:
// without them, GET /runs/cancel asks for the run "cancel".
func refusals(table []route.Row) []string {
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

// covers reports whether a pattern takes every path of another one.
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

// guard puts a route's limits and access before its handler.
func (s *Server) guard(rt route.Row, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		if !rt.Stream {
			// A recorder in a test has no deadlines; every real connection has.
			_ = rc.SetWriteDeadline(time.Now().Add(httpio.AnswerTime))
		}
		if rt.Body == 0 && r.Body != nil && r.Body != http.NoBody {
			r.Body = http.MaxBytesReader(w, httpio.NewPacedReader(w, r, smallPeriod, smallPeriod), httpio.SmallBody)
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
			conns.Carries(r, who.Owner())
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

// mostParameters is how many query parameters a request may have: no route knows as many.
const mostParameters = 200

// checkQuery refuses a query of so many parameters that reading it, several times, costs much.
func checkQuery(r *http.Request) error {
	if n := strings.Count(r.URL.RawQuery, "&"); n >= mostParameters {
		return httpio.NewProblem(http.StatusBadRequest, "the query has %d parameters; the most is %d", n+1, mostParameters)
	}
	return nil
}

// outer is what every request passes, known route or not.
func (s *Server) outer(mux http.Handler, cross *http.CrossOriginProtection) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer s.recovered(w, r)
		conns.Serves(r)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		if s.access.Secure(r) {
			w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		}
		if ours(r.URL.Path) || ownPath(r.URL.Path) {
			w.Header().Set("Cache-Control", "no-store") // what it says is not for everybody, and changes
		}
		if err := s.access.CheckHost(r); err != nil {
			s.finder.Fail(w, r, err)
			return
		}
		if cross.Check(r) != nil {
			s.finder.Fail(w, r, httpio.NewProblem(http.StatusForbidden,
				"a web page of another site sent this request: pages may only write to the server they came from"))
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// recovered answers 500 when a handler panics, and logs where. A handler that gave up its
// connection on purpose is let through.
func (s *Server) recovered(w http.ResponseWriter, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	s.metrics.panics.Inc()
	s.log.Error("request panicked", "method", r.Method, "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
	s.finder.Fail(w, r, httpio.NewProblem(http.StatusInternalServerError, "the server failed; its log says why"))
}

// unrouted answers what no row of the table takes: a wrong method, a path of the
// interface that does not exist, or the page.
func (s *Server) unrouted(w http.ResponseWriter, r *http.Request, mux *http.ServeMux) {
	if allowed := s.methodsFor(mux, r); len(allowed) > 0 {
		w.Header().Set("Allow", strings.Join(allowed, ", "))
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusMethodNotAllowed, "%s is not possible on %s: use %s",
			job.Quote(r.Method), job.Quote(r.URL.Path), strings.Join(allowed, " or ")))
		return
	}
	if ours(r.URL.Path) {
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "there is nothing at %s: /api/docs lists what there is", job.Quote(r.URL.Path)))
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusMethodNotAllowed, "%s is not possible on a page: use GET", job.Quote(r.Method)))
		return
	}
	if s.cfg.UI == nil {
		s.finder.Fail(w, r, httpio.NewProblem(http.StatusNotFound, "this Stint server has no pages: /api/docs describes its interface"))
		return
	}
	pageHeaders(w, "'self'")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(httpio.AnswerTime))
	s.cfg.UI.ServeHTTP(w, r)
}

// ours reports whether a path belongs to the interface and not to the page.
func ours(path string) bool {
	for _, prefix := range []string{"/api", "/compat"} {
		if path == prefix || strings.HasPrefix(path, prefix+"/") {
			return true
		}
	}
	return false
}

// ownPath reports whether a path is one of the server itself, for programs.
func ownPath(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }

// methodsFor lists the methods that the table has for the path of a request.
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

// pageHeaders are for answers that a browser shows. Their styles come from styles, a source of
// the content security policy.
func pageHeaders(w http.ResponseWriter, styles string) {
	h := w.Header()
	h.Set("Content-Security-Policy", "default-src 'self'; style-src "+styles+"; img-src 'self' data:; "+
		"connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=()")
}
