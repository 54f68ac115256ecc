package server_test

import (
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
)

// BenchmarkLogWindow opens windows of 200 lines anywhere in a log of 256 MiB, by line and by
// time, as the page does.
func BenchmarkLogWindow(b *testing.B) {
	st, err := store.Open(b.Context(), store.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	id, _ := benchLog(b, st, 256<<20)
	srv, err := server.New(server.Config{Store: st, Insecure: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Close(b.Context()) })
	run, err := st.Run(b.Context(), id)
	if err != nil {
		b.Fatal(err)
	}
	open := func(query string) int {
		var rec sink
		req, err := http.NewRequestWithContext(b.Context(), "GET", "http://localhost/api/v1/runs/"+id+"/log?"+query, nil)
		if err != nil {
			b.Fatal(err)
		}
		req.Header.Set("Accept", "application/x-ndjson")
		srv.Handler().ServeHTTP(&rec, req)
		return rec.body.Len()
	}
	for name, query := range map[string]func(i int64) string{
		"line": func(i int64) string {
			return "lines=200&from_line=" + strconv.FormatInt(1+i*7919*997%(run.Output.Lines-200), 10)
		},
		"time":  func(int64) string { return "lines=200&from_time=2026-01-01T00:00:00Z" },
		"tail":  func(int64) string { return "tail=200" },
		"range": func(i int64) string { return fmt.Sprintf("lines=1&from_line=%d", run.Output.Lines-i%1000) },
	} {
		b.Run(name, func(b *testing.B) {
			i := int64(0)
			for b.Loop() {
				if i++; open(query(i)) == 0 {
					b.Fatal("an empty window")
				}
			}
		})
	}
}
