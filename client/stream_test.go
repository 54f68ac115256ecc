package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"
	"stint.dev/stint/client/internal/resume"
	"stint.dev/stint/job"
)

// TestFollowResumes cuts the connection after any number of events: each comes once.
func TestFollowResumes(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		total := rapid.IntRange(1, 20).Draw(rt, "events")
		per := rapid.IntRange(1, 5).Draw(rt, "events a connection")
		c := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			from := 0
			if last := r.Header.Get("Last-Event-ID"); last != "" {
				if _, err := fmt.Sscanf(last, "1:%d", &from); err != nil {
					t.Errorf("Last-Event-ID %q", last)
				}
			}
			for n := from + 1; n <= min(from+per, total); n++ {
				fmt.Fprintf(w, "id: 1:%d\nevent: output\ndata: %d\n\n", n, n)
			}
			if from+per >= total {
				fmt.Fprint(w, "event: end\ndata: {}\n\n")
			}
			fmt.Fprint(w, "id: 1:999\nevent: output\ndata: torn") // the cut
		})
		var got []string
		err := follow(c, func(ev StreamEvent) error {
			if ev.Type == "output" {
				got = append(got, string(ev.Data))
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
		for i, g := range got {
			if g != fmt.Sprint(i+1) {
				rt.Fatalf("got %v", got)
			}
		}
		if len(got) != total {
			rt.Fatalf("got %d events, want %d", len(got), total)
		}
	})
}

// follow follows without the pauses between connections.
func follow(c *Client, handle func(StreamEvent) error) error {
	last := ""
	for range 100 {
		_, err := c.followOnce(context.Background(), "x", LogQuery{}, &last, handle)
		var stop *resume.StopError
		if err == nil || errors.As(err, &stop) {
			return err
		}
	}
	return errors.New("no end after 100 connections")
}

func TestFollowWaitsAndGoesOn(t *testing.T) {
	var calls atomic.Int32
	c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if calls.Add(1) == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: end\ndata: {}\n\n")
	})
	waits := 0
	err := c.Follow(context.Background(), "x", LogQuery{}, func(StreamEvent) error { return nil }, func(error) { waits++ })
	if err != nil || waits != 1 {
		t.Fatalf("got %v after %d waits, want an end after 1", err, waits)
	}
}

func TestFollowStops(t *testing.T) {
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "gone") {
			w.Header().Set("Content-Type", problemJSON)
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"type":"urn:stint:not-found","status":404}`)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: output\ndata: {}\n\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	enough := errors.New("enough")
	if err := c.Follow(context.Background(), "x", LogQuery{}, func(StreamEvent) error { return enough }, nil); !errors.Is(err, enough) {
		t.Errorf("got %v, want the handler's error", err)
	}
	var p *job.Problem
	if err := c.Follow(context.Background(), "gone", LogQuery{}, nil, nil); !errors.As(err, &p) || p.Status != 404 {
		t.Errorf("got %v, want the 404", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	err := c.Follow(ctx, "x", LogQuery{}, func(StreamEvent) error { cancel(); return nil }, nil)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}
