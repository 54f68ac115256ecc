package server_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// benchLog stores a log of a size made of lines of about 100 bytes, one of which has the
// word needle, and returns the run and its text.
func benchLog(b *testing.B, st *store.Store, size int) (string, []byte) {
	b.Helper()
	id := uuid.Must(uuid.NewV7()).String()
	var text bytes.Buffer
	for n := 1; text.Len() < size; n++ {
		word := "nothing"
		if text.Len() < size/2 && text.Len()+100 >= size/2 {
			word = "needle"
		}
		fmt.Fprintf(&text, "2026-01-02T03:04:05.678Z INFO worker %d: step %d of the work, found %s, loss=%.5f\n", n%13, n, word, 1/float64(n))
	}
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now().UTC()
	if err := w.AppendJSON(journal.TypeAttempt, at, journal.Attempt{Run: id, Attempt: 1, Job: "bench", Args: []string{"x"}, Host: "h"}); err != nil {
		b.Fatal(err)
	}
	offset := int64(0)
	send := func() {
		done, _, err := st.Ingest(b.Context(), []index.Append{{Run: id, Attempt: 1, Offset: offset, Data: buf.Bytes(), At: at}}, nil)
		if err != nil || done[0].Err != nil {
			b.Fatal(err, done)
		}
		offset = done[0].Size
		buf.Reset()
	}
	for data := text.Bytes(); len(data) > 0; {
		n := min(len(data), 64<<10)
		if err := w.Append(journal.OutputRecord(at, journal.Output{Stream: job.Stdout, Data: data[:n]})); err != nil {
			b.Fatal(err)
		}
		if data = data[n:]; buf.Len() > 1<<20 {
			send()
		}
	}
	send()
	return id, text.Bytes()
}

// BenchmarkSearch measures a search in a log that has just arrived, and in one that is packed.
func BenchmarkSearch(b *testing.B) {
	b.Run("segments", func(b *testing.B) { benchSearch(b, false) })
	b.Run("packed", func(b *testing.B) { benchSearch(b, true) })
}

// benchSearch measures a search for a rare word as a ratio to what a person would do
// with the log as a compressed file: zstd -dc FILE | grep -c WORD.
func benchSearch(b *testing.B, packed bool) {
	if _, err := exec.LookPath("zstd"); err != nil {
		b.Skip("zstd, the yardstick, is not installed")
	}
	const size = 256 << 20
	objects, err := archive.OpenDir(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	st, err := store.Open(b.Context(), store.Options{Dir: b.TempDir(), Archive: objects})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = st.Close() })
	id, text := benchLog(b, st, size)
	if packed {
		if err := st.Tidy(b.Context(), time.Now().Add(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
	file := filepath.Join(b.TempDir(), "log.zst")
	pack := exec.CommandContext(b.Context(), "zstd", "-q", "-o", file)
	pack.Stdin = bytes.NewReader(text)
	if out, err := pack.CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	srv, err := server.New(server.Config{Store: st, Insecure: true})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = srv.Close(b.Context()) })
	for name, query := range map[string]string{
		"word": "q=needle&case=true", "any-case": "q=NEEDLE", "regexp": "q=found+n[ea]%2Bdle&regex=true&case=true",
	} {
		b.Run(name, func(b *testing.B) {
			var ours, theirs time.Duration
			b.SetBytes(size)
			for b.Loop() {
				begin := time.Now()
				grep := exec.CommandContext(b.Context(), "sh", "-c", "zstd -dc "+file+" | grep -c needle")
				grep.Stderr = os.Stderr
				if out, err := grep.Output(); err != nil || strings.TrimSpace(string(out)) != "1" {
					b.Fatalf("%v: %s", err, out)
				}
				theirs += time.Since(begin)
				begin = time.Now()
				var rec sink
				req, err := http.NewRequestWithContext(b.Context(), "GET", "http://localhost/api/v1/runs/"+id+"/log/search?limit=0&"+query, nil)
				if err != nil {
					b.Fatal(err)
				}
				srv.Handler().ServeHTTP(&rec, req)
				ours += time.Since(begin)
				if !strings.Contains(rec.body.String(), `"done":{"matches":1,`) {
					b.Fatal(rec.body.String())
				}
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "×grep")
		})
	}
}

// sink is an answer without a network.
type sink struct {
	head http.Header
	body strings.Builder
}

func (s *sink) Header() http.Header {
	if s.head == nil {
		s.head = http.Header{}
	}
	return s.head
}
func (s *sink) WriteHeader(int)             {}
func (s *sink) Write(p []byte) (int, error) { return s.body.Write(p) }
func (s *sink) Flush()                      {}

var _ io.Writer = &sink{}
