package server_test

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// print adds output of any step and stream.
func (s *sketch) print(step int, stream job.Stream, data []byte) *sketch {
	s.t.Helper()
	s.at = s.at.Add(time.Millisecond)
	if err := s.w.Append(journal.OutputRecord(s.at, journal.Output{Step: step, Stream: stream, Data: data})); err != nil {
		s.t.Fatal(err)
	}
	return s
}

// deliver appends what the server does not have yet, in pieces of at most size bytes.
func (l *live) deliver(s *sketch, from, size int) int {
	l.t.Helper()
	data := s.bytes()
	for from < len(data) {
		next := min(len(data), from+size)
		path := fmt.Sprintf("/api/v1/runs/%s/attempts/1/journal?offset=%d", s.id, from)
		l.do("POST", path, data[from:next]).ok(l.t, nil)
		from = next
	}
	return from
}

func TestLogIsExactForBinaryData(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "binary", nil).command()
	var out, all []byte
	random := rand.NewChaCha8([32]byte{1})
	for range 40 {
		piece := make([]byte, 50_000)
		_, _ = random.Read(piece)
		s.print(0, job.Stdout, piece).print(0, job.Stderr, piece[:777])
		out = append(out, piece...)
		all = append(append(all, piece...), piece[:777]...)
	}
	s.finish(0)
	l.deliver(s, 0, 333_333) // cuts fall inside records

	got := l.get("/api/v1/runs/" + s.id + "/log")
	if sha256.Sum256(got.body) != sha256.Sum256(all) {
		t.Fatalf("printed %d bytes, read %d others", len(all), len(got.body))
	}
	for name, want := range map[string]string{
		"Content-Type": "text/plain; charset=utf-8", "X-Content-Type-Options": "nosniff",
		"Stint-Log-Bytes": strconv.Itoa(len(all)), "Stint-Log-Attempt": "1",
		"Content-Length": strconv.Itoa(len(all)),
	} {
		if v := got.header.Get(name); v != want {
			t.Errorf("%s is %q, want %q", name, v, want)
		}
	}
	for query, want := range map[string][]byte{"?stream=stdout": out, "?step=command&stream=stdout": out, "?step=0": all, "?tail=0": nil} {
		if got := l.get("/api/v1/runs/" + s.id + "/log" + query); !bytes.Equal(got.body, want) {
			t.Errorf("%s: %d bytes, want %d", query, len(got.body), len(want))
		}
	}
	if run := l.run(s.id); !run.Output.Complete {
		t.Error("the output is not complete")
	}
	head := l.do("HEAD", "/api/v1/runs/"+s.id+"/log?download=1", nil)
	if got := head.header.Get("Content-Disposition"); got != `attachment; filename="binary-1.1.log"` || len(head.body) != 0 {
		t.Errorf("HEAD of a download: %q and %d bytes", got, len(head.body))
	}
}

func TestLogWindowsOfALongLog(t *testing.T) {
	const lines = 200_000
	l := start(t, server.Config{})
	s := newSketch(t, "long", nil).command()
	var piece bytes.Buffer
	for n := 1; n <= lines; n++ {
		stream := job.Stdout
		if n%1000 == 0 {
			stream = job.Stderr
		}
		fmt.Fprintf(&piece, "line %d of the log\n", n)
		if n%1000 >= 998 || n%100 == 0 {
			s.print(0, stream, piece.Bytes())
			piece.Reset()
		}
	}
	s.finish(0)
	l.deliver(s, 0, 256<<10)
	log := "/api/v1/runs/" + s.id + "/log"

	got := l.get(log + "?from_line=123456&lines=3")
	if want := "line 123456 of the log\nline 123457 of the log\nline 123458 of the log\n"; string(got.body) != want {
		t.Errorf("window is %q", got.body)
	}
	if n := got.header.Get("Stint-Log-Lines"); n != "200000" {
		t.Errorf("the log has %s lines", n)
	}
	if got := l.get(log + "?tail=2"); string(got.body) != "line 199999 of the log\nline 200000 of the log\n" {
		t.Errorf("tail is %q", got.body)
	}
	type line struct {
		N      int64     `json:"n"`
		At     time.Time `json:"at"`
		Stream string    `json:"stream"`
		Text   string    `json:"text"`
	}
	read := func(query string) (out []line) {
		t.Helper()
		got := l.get(log+query, "Accept", "application/x-ndjson")
		if ct := got.header.Get("Content-Type"); ct != "application/x-ndjson" {
			t.Fatalf("%s: type %q: %.200s", query, ct, got.body)
		}
		sc := bufio.NewScanner(bytes.NewReader(got.body))
		for sc.Scan() {
			var one line
			if err := json.Unmarshal(sc.Bytes(), &one); err != nil {
				t.Fatal(err)
			}
			out = append(out, one)
		}
		return out
	}
	all := read("")
	if len(all) != lines {
		t.Fatalf("%d lines in all", len(all))
	}
	for i, one := range all {
		if one.N != int64(i)+1 || one.Text != fmt.Sprintf("line %d of the log", one.N) {
			t.Fatalf("line %d is %+v", i+1, one)
		}
	}
	errs := read("?stream=stderr&tail=3")
	if len(errs) != 3 || errs[0].N != 198_000 || errs[2].N != 200_000 || errs[0].Stream != "stderr" {
		t.Errorf("last lines of stderr: %+v", errs)
	}
	errs = read("?stream=stderr&from_line=50001&lines=2")
	if len(errs) != 2 || errs[0].N != 51_000 || errs[1].N != 52_000 {
		t.Errorf("stderr from line 50001: %+v", errs)
	}
	at := all[150_000].At
	since := read("?lines=1&from_time=" + at.Format(time.RFC3339Nano))
	if len(since) != 1 || since[0].At.Before(at) || since[0].N > 150_001 || since[0].N < 149_900 {
		t.Errorf("from %s: %+v", at, since)
	}
}

func TestLogRefusesNonsense(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "small", nil).command().output("x\n").finish(0)
	l.deliver(s, 0, 1<<20)
	run := "/api/v1/runs/" + s.id
	for path, status := range map[string]int{
		run + "/log?tail=-1":                                  400,
		run + "/log?tail=x":                                   400,
		run + "/log?tail=1&from_line=1":                       400,
		run + "/log?from_line=0":                              400,
		run + "/log?lines=99999999999999999999":               400,
		run + "/log?stream=stdin":                             400,
		run + "/log?from_time=yesterday":                      400,
		run + "/log?tial=1":                                   400,
		run + "/log?tail=1&tail=2":                            400,
		run + "/log?%zz":                                      400,
		run + "/log?attempt=0":                                400,
		run + "/log?attempt=2":                                404,
		run + "/log?step=nosuch":                              404,
		"/api/v1/runs/nosuch%231/log":                         404,
		run + "/samples?points=0":                             400,
		run + "/samples?points=5001":                          400,
		run + "/samples?attempt=7":                            404,
		run + "/stream?from=x":                                400,
		run + "/stream?from=1:5":                              400,
		run + "/stream?from=0&tail=1":                         400,
		run + "/stream?attempt=2":                             404,
		"/api/v1/stream?run=x":                                400,
		"/api/v1/runs/" + strings.Repeat("f", 36) + "/stream": 404,
	} {
		t.Run(path, func(t *testing.T) {
			p := l.get(path).problem(t, status)
			if p.Detail == "" {
				t.Error("says nothing")
			}
		})
	}
	if got := l.get(run + "/log?step=0&lines=5&from_line=1"); string(got.body) != "x\n" {
		t.Errorf("a sound request: %d %q", got.status, got.body)
	}
}

func TestLogOfARunThatPrintedNothing(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "silent", nil).command().finish(0)
	l.deliver(s, 0, 1<<20)
	for _, query := range []string{"", "?tail=5", "?from_line=1", "?from_time=2026-01-01T00:00:00Z", "?stream=stderr&tail=1"} {
		for _, accept := range []string{"text/plain", "application/x-ndjson"} {
			if got := l.get("/api/v1/runs/"+s.id+"/log"+query, "Accept", accept); got.status != http.StatusOK || len(got.body) != 0 {
				t.Errorf("%s as %s: %d %q", query, accept, got.status, got.body)
			}
		}
	}
}

func TestSamplesOverHTTP(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "measured", nil).command()
	for i := range 1000 {
		memory := int64(1 << 20)
		if i == 567 {
			memory = 1 << 30
		}
		s.add(journal.TypeSample, job.Sample{At: s.at, CPUSeconds: float64(i), CPUCores: 0.5, MemoryBytes: memory})
	}
	l.deliver(s, 0, 4000)
	var got struct {
		Samples       []job.Sample
		Total, Points int
	}
	l.get("/api/v1/runs/"+s.id+"/samples?points=20").ok(t, &got)
	if got.Total != 1000 || got.Points != 20 || len(got.Samples) > 82 || len(got.Samples) < 20 {
		t.Fatalf("%d samples of %d for %d points", len(got.Samples), got.Total, got.Points)
	}
	peak := int64(0)
	for _, sample := range got.Samples {
		peak = max(peak, sample.MemoryBytes)
	}
	if peak != 1<<30 {
		t.Errorf("the spike became %d bytes", peak)
	}
}
