package server

import (
	"net/http"
	"strconv"

	"stint.dev/stint/internal/server/httpio"
)

// getOpenAPI responds with the OpenAPI document.
func (s *Server) getOpenAPI(w http.ResponseWriter, r *http.Request) {
	s.writeFixed(w, r, "application/json", s.spec)
}

// getDocs responds with the OpenAPI document as a page for people.
func (s *Server) getDocs(w http.ResponseWriter, r *http.Request) {
	setPageHeaders(w, s.pageStyles)
	s.writeFixed(w, r, "text/html; charset=utf-8", s.page)
}

// writeFixed responds with bytes that do not change while the server runs.
func (s *Server) writeFixed(w http.ResponseWriter, r *http.Request, contentType string, data []byte) {
	if err := httpio.NewParams(r).Err; err != nil {
		s.finder.Fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	_, _ = w.Write(data)
}
