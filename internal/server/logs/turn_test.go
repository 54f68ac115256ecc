package logs

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/server/httpio"
)

// SearchTurn has ended its goroutine when it returns, with a place and without one.
func TestSearchTurnEndsItsGoroutine(t *testing.T) {
	defer goleak.VerifyNone(t)
	stopping := make(chan struct{})
	s := New(Config{MaxSearches: 1, Stopping: stopping})
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
	_, place, err := s.SearchTurn(r)
	if err != nil {
		t.Fatal(err)
	}
	defer place.Leave()
	place.Protect(true)
	goleak.VerifyNone(t)
	close(stopping)
	if _, _, err := s.SearchTurn(r); httpio.AsProblem(err).Status != http.StatusServiceUnavailable {
		t.Errorf("while the server stops: %v", err)
	}
	goleak.VerifyNone(t)
}
