package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
)

// FuzzAPI sends anything to any route. Whatever comes: the server does not fail (500), does
// not panic, does not hang, and says why it refuses.
func FuzzAPI(f *testing.F) {
	store := openStore(f, f.TempDir())
	srv, err := server.New(server.Config{Store: store, Log: slog.New(slog.DiscardHandler), Insecure: true})
	if err != nil {
		f.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { srv.Run(ctx) })
	f.Cleanup(func() {
		_ = srv.Close(context.Background())
		cancel()
		running.Wait()
	})
	routes := server.RouteList(srv)
	handler := srv.Handler()

	id := "01a204c0-3fda-7290-a1d5-e5908c321e5a"
	for i := range routes {
		f.Add(uint8(i), id, "limit=1&offset=0&lines=3", []byte(`{"status":"started"}`), "application/json")
	}
	for _, value := range []string{"..", "%2e%2e%2f%2e%2e", "a\x00b", "j#1", "j%231", "\x1b[2J<script>", "9223372036854775807", strings.Repeat("x", 5000)} {
		f.Add(uint8(3), value, "q="+value, []byte("{"), "text/plain")
	}
	f.Add(uint8(0), id, "offset=9223372036854775807", []byte("STINT\x01"), "application/octet-stream")
	f.Add(uint8(0), id, "offset=-1&offset=2", []byte{0x28, 0xb5, 0x2f, 0xfd}, "application/zstd")

	f.Fuzz(func(t *testing.T, which uint8, value, query string, body []byte, contentType string) {
		rt := routes[int(which)%len(routes)]
		escaped := url.PathEscape(value)
		path := strings.NewReplacer("{run}", escaped, "{job}", escaped, "{attempt}", "1", "{id}", escaped, "{name}", escaped).Replace(rt.Pattern)
		u, err := url.ParseRequestURI(path)
		if err != nil {
			t.Skip()
		}
		u.RawQuery = query
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond) // live streams never end by themselves
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, rt.Method, "/", bytes.NewReader(body))
		r.URL, r.RequestURI = u, ""
		r.Header.Set("Content-Type", contentType)
		w := httptest.NewRecorder()
		func() {
			defer func() {
				if v := recover(); v != nil && v != http.ErrAbortHandler {
					t.Fatalf("%s %s?%s panicked: %v", rt.Method, path, query, v)
				}
			}()
			handler.ServeHTTP(w, r)
		}()
		res := w.Result()
		if res.StatusCode == http.StatusInternalServerError {
			t.Fatalf("%s %s?%s with %.100q: %d %s", rt.Method, path, query, body, res.StatusCode, w.Body)
		}
		if res.StatusCode < 400 {
			return
		}
		if strings.HasPrefix(rt.Pattern, "/ping/") && strings.HasPrefix(w.Header().Get("Content-Type"), "text/plain") {
			if w.Body.Len() == 0 || strings.ContainsAny(w.Body.String(), "\x00\x1b\r\n") {
				t.Fatalf("%s %s?%s: %d with the reason %q", rt.Method, path, query, res.StatusCode, w.Body)
			}
			return // as Healthchecks answers
		}
		var p struct {
			Status        int
			Title, Detail string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != res.StatusCode || p.Detail == "" {
			t.Fatalf("%s %s?%s: %d without a reason: %.300s", rt.Method, path, query, res.StatusCode, w.Body)
		}
		if strings.ContainsAny(p.Detail, "\x00\x1b\r\n") {
			t.Fatalf("%s %s?%s: the reason is raw text: %q", rt.Method, path, query, p.Detail)
		}
	})
}
