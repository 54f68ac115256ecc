package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server"
)

// Large answers of JSON are compressed for clients elsewhere that can read that, and no others.
func TestAnswersAreCompressed(t *testing.T) {
	l := start(t, server.Config{})
	for n := range 20 {
		s := newSketch(t, fmt.Sprint("compressed-", n), nil).command().finish(1)
		l.deliver(s, 0, 1<<20)
	}
	token := l.mint(access.Read, time.Time{}, time.Now())
	for _, c := range []struct {
		name, path, from, accepts string
		status                    int
		want                      string
	}{
		{"elsewhere", "/api/v1/runs?limit=20", "192.0.2.7:1", "br, gzip", http.StatusOK, "gzip"},
		{"overview", "/api/v1/overview", "192.0.2.7:1", "gzip", http.StatusOK, "gzip"},
		{"this machine", "/api/v1/runs?limit=20", "127.0.0.1:1", "gzip", http.StatusOK, ""},
		{"not accepted", "/api/v1/runs?limit=20", "192.0.2.7:1", "br, gzip;q=0", http.StatusOK, ""},
		{"small", "/api/v1/runs?limit=1&job=no-such-job", "192.0.2.7:1", "gzip", http.StatusOK, ""},
		{"refused", "/api/v1/runs?limit=x", "192.0.2.7:1", "gzip", http.StatusBadRequest, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost"+c.path, nil)
			req.RemoteAddr = c.from
			req.Header.Set("Accept-Encoding", c.accepts)
			req.Header.Set("Authorization", "Bearer "+token)
			rec := httptest.NewRecorder()
			l.srv.Handler().ServeHTTP(rec, req)
			if got := rec.Header().Get("Content-Encoding"); rec.Code != c.status || got != c.want {
				t.Fatalf("%d, encoding %q, want %d, %q: %s", rec.Code, got, c.status, c.want, rec.Body)
			}
			if n := rec.Header().Get("Content-Length"); n != "" && n != strconv.Itoa(rec.Body.Len()) {
				t.Errorf("Content-Length %s of %d bytes", n, rec.Body.Len())
			}
			body := rec.Body.Bytes()
			if c.want != "" {
				body = unzip(t, body)
			}
			if !json.Valid(body) {
				t.Errorf("no JSON: %s", body)
			}
		})
	}
}
