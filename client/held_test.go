package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// The end of the server's side of the connection is told while nothing is on its way.
func TestHeartbeatsCut(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"owner":true}`)) // the client tells of any error
	}))
	defer server.Close()
	c, err := client.New(client.Options{URL: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range 2 {
		if _, err := c.Beat(ctx, "r", 1, job.Heartbeat{}); err != nil {
			t.Fatal(err)
		}
	}
	select {
	case <-c.HeartbeatsCut():
		t.Fatal("cut while it is held")
	default:
	}
	server.CloseClientConnections()
	select {
	case <-c.HeartbeatsCut():
	case <-ctx.Done():
		t.Fatal("nobody tells that the connection was cut")
	}
}
