package server

import (
	"net/http"
	"strconv"

	"stint.dev/stint/internal/server/httpio"
)

// getOpenAPI answers the OpenAPI document.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) {
	s.fixed(w, r, "application/json", s.spec)
}

// getDocs answers the same as a page.
func (s *Server) getDocs(w http.ResponseWriter, r *http.Request) {
	pageHeaders(w, s.pageStyles)
	s.fixed(w, r, "text/html; charset=utf-8", s.page)
}

// fixed answers bytes that never change while the server runs.
func (s *Server) fixed(w http.ResponseWriter, r *http.Request, contentType string, data []byte) {
	if err := httpio.NewParams(r).Err; err != nil {
		s.finder.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}
