package server_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// event is one server-sent event as it came.
type event struct {
	kind, id string
	data     []byte
}

// output is the data of an output event.
type outputData struct {
	Step   int        `json:"step"`
	Stream job.Stream `json:"stream"`
	Text   *string    `json:"text"`
	Base64 []byte     `json:"base64"`
}

func (e event) output(t *testing.T) (string, outputData) {
	t.Helper()
	var d outputData
	if err := json.Unmarshal(e.data, &d); err != nil {
		t.Fatal(err)
	}
	if d.Text != nil {
		return *d.Text, d
	}
	return string(d.Base64), d
}

// follow is an open live stream. Reads of it are bounded in time by the test's context.
type follow struct {
	t      *testing.T
	body   io.ReadCloser
	r      *bufio.Reader
	cancel context.CancelFunc
	lastID string
}

// follow opens a live stream; lastID may be empty.
func (l *live) follow(path, lastID string) *follow {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), 30*time.Second)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url+path, nil)
	if err != nil {
		l.t.Fatal(err)
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		l.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		body, _ := io.ReadAll(resp.Body)
		l.t.Fatalf("GET %s: %d %s: %.300s", path, resp.StatusCode, resp.Header.Get("Content-Type"), body)
	}
	f := &follow{t: l.t, body: resp.Body, r: bufio.NewReader(resp.Body), cancel: cancel, lastID: lastID}
	l.t.Cleanup(f.close)
	return f
}

func (f *follow) close() {
	f.cancel()
	_ = f.body.Close()
}

// next is the next event; io.EOF when the server ended the stream.
func (f *follow) next() (event, error) {
	var e event
	for {
		line, err := f.r.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		field, value, _ := strings.Cut(line, ": ")
		switch {
		case line == "" && e.data != nil:
			if e.id != "" {
				f.lastID = e.id
			}
			return e, nil
		case field == "event":
			e.kind = value
		case field == "id":
			e.id = value
		case field == "data":
			e.data = []byte(value)
		}
	}
}

// want reads events up to the next one of a kind, and returns it.
func (f *follow) want(kind string) event {
	f.t.Helper()
	for {
		e, err := f.next()
		if err != nil {
			f.t.Fatalf("no %s event came: %v", kind, err)
		}
		if e.kind == kind {
			return e
		}
	}
}

// text reads output until it has that many bytes.
func (f *follow) text(n int) string {
	f.t.Helper()
	var got strings.Builder
	for got.Len() < n {
		text, _ := f.want("output").output(f.t)
		got.WriteString(text)
	}
	return got.String()
}

func streamOf(s *sketch) string { return "/api/v1/runs/" + s.id + "/stream" }

func TestStreamTellsARunToItsEnd(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "live", nil).command()
	done := l.deliver(s, 0, 1<<20)
	f := l.follow(streamOf(s), "")
	first, err := f.next()
	var run job.Run
	if err != nil || first.kind != "run" || json.Unmarshal(first.data, &run) != nil || run.State != job.Running {
		t.Fatalf("the first event is %s %s, %v", first.kind, first.data, err)
	}
	var step job.Step
	if err := json.Unmarshal(f.want("step").data, &step); err != nil || step.Name != "command" || step.State != job.Running {
		t.Fatalf("step %+v, %v", step, err)
	}
	for i := range 3 {
		s.output(fmt.Sprintf("line %d\n", i))
		done = l.deliver(s, done, 1<<20)
		if got := f.text(1); got != fmt.Sprintf("line %d\n", i) {
			t.Fatalf("got %q", got)
		}
	}
	s.add(journal.TypeSample, job.Sample{MemoryBytes: 42})
	s.add(journal.TypeNote, journal.Note{Step: -1, Text: "<noted>"})
	s.add(journal.TypeStatus, journal.Status{Text: "half way"})
	s.add(journal.TypeGap, job.Gap{Stream: job.Stderr, Bytes: 7, Reason: "spool full"})
	s.print(0, job.Stderr, []byte{0xff, 0xfe})
	s.finish(3)
	l.deliver(s, done, 1<<20)
	for _, c := range []struct{ kind, part string }{
		{"sample", `"memory_bytes":42`},
		{"note", `"text":"<noted>"`},
		{"status", `"text":"half way"`},
		{"gap", `"bytes":7`},
		{"output", `"base64":"//4="`},
		{"step", `"exit_code":3`},
		{"run", `"state":"failed"`},
		{"end", `"state":"failed"`},
	} {
		if e := f.want(c.kind); !strings.Contains(string(e.data), c.part) {
			t.Errorf("%s event lacks %s: %s", c.kind, c.part, e.data)
		}
	}
	if e, err := f.next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the end came %s, %v", e.kind, err)
	}
}

func TestStreamFromTheTail(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "tail", nil).command()
	s.print(0, job.Stderr, []byte("\r10%"))
	for i := range 1000 {
		s.output(fmt.Sprintf("line %d\n", i))
		if i%100 == 50 {
			s.print(0, job.Stderr, []byte("\r20%"))
		}
	}
	done := l.deliver(s, 0, 5000)
	f := l.follow(streamOf(s)+"?tail=3", "")
	nothing := l.follow(streamOf(s)+"?tail=0", "")
	errs := l.follow(streamOf(s)+"?tail=1&stream=stderr", "")
	all := l.follow(streamOf(s)+"?tail=100000", "")
	if got, want := f.text(24), "line 997\nline 998\nline 999\n"; got != want {
		t.Errorf("last lines: %q", got)
	}
	if got, want := errs.text(4+10*4), "\r10%"+strings.Repeat("\r20%", 10); got != want {
		t.Errorf("last line of stderr: %q", got)
	}
	if got := all.text(10); !strings.HasPrefix(got, "\r10%") {
		t.Errorf("all lines: %q", got)
	}
	s.print(0, job.Stderr, []byte("\r99%\n"))
	l.deliver(s, done, 1<<20)
	for name, follower := range map[string]*follow{"tail": f, "nothing": nothing, "stderr": errs} {
		if got := follower.text(5); got != "\r99%\n" {
			t.Errorf("%s: then came %q", name, got)
		}
	}
}

func TestStreamOfOneStreamOnly(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "filtered", nil).command()
	for i := range 10 {
		s.output(fmt.Sprintf("out %d\n", i)).print(0, job.Stderr, fmt.Appendf(nil, "err %d\n", i))
	}
	s.finish(0)
	l.deliver(s, 0, 1<<20)
	for query, want := range map[string]string{"?stream=stderr": "err", "?step=command&stream=stdout": "out", "?step=nosuch": ""} {
		f := l.follow(streamOf(s)+query, "")
		n := 0
		for e, err := f.next(); e.kind != "end"; e, err = f.next() {
			if err != nil {
				t.Fatal(err)
			}
			if e.kind != "output" {
				continue
			}
			text, _ := e.output(t)
			for _, line := range strings.SplitAfter(text, "\n") {
				if line != "" && !strings.HasPrefix(line, want) || want == "" {
					t.Errorf("%s: got %q", query, line)
				}
				n += len(line)
			}
		}
		if want != "" && n != 60 {
			t.Errorf("%s: %d bytes", query, n)
		}
	}
}

func TestStreamOfAllRuns(t *testing.T) {
	l := start(t, server.Config{})
	old := newSketch(t, "old", nil).command().finish(0)
	l.deliver(old, 0, 1<<20)
	f := l.follow("/api/v1/stream", "")
	s := newSketch(t, "new", nil).command()
	done := l.deliver(s, 0, 1<<20)
	var run job.Run
	if err := json.Unmarshal(f.want("run").data, &run); err != nil || run.ID != s.id {
		t.Fatalf("the first run sent is %s, want the new one %s: %v", run.ID, s.id, err)
	}
	var change job.RunEvent
	e := f.want("change")
	if err := json.Unmarshal(e.data, &change); err != nil || change.Run != s.id || e.id != fmt.Sprint(change.ID) {
		t.Fatalf("change %s %s, %v", e.id, e.data, err)
	}
	f.close()

	s.finish(0)
	l.deliver(s, done, 1<<20)
	f = l.follow("/api/v1/stream", e.id)
	seen := map[int64]bool{change.ID: true}
	for change.To != string(job.Succeeded) {
		if err := json.Unmarshal(f.want("change").data, &change); err != nil {
			t.Fatal(err)
		}
		if seen[change.ID] || change.Run != s.id {
			t.Fatalf("change %d of run %s came twice or is old", change.ID, change.Run)
		}
		seen[change.ID] = true
	}
	l.get("/api/v1/stream", "Last-Event-ID", "x").problem(t, 400)
	l.get("/api/v1/stream", "Last-Event-ID", "-1").problem(t, 400)
	l.get("/api/v1/stream", "Last-Event-ID", fmt.Sprint(int64(1)<<53)).problem(t, 400)
}

// A run that cannot be read ends no stream of all runs: what changed after it is sent.
func TestAnUnreadableRunEndsNoStreamOfAllRuns(t *testing.T) {
	dir := t.TempDir()
	st := openStore(t, dir)
	l := start(t, server.Config{Store: st})
	bad := newSketch(t, "bad", nil).command().finish(0)
	l.deliver(bad, 0, 1<<20)
	raw, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "stint.db")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := raw.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := raw.ExecContext(t.Context(), `UPDATE runs SET doc = '{'`); err != nil {
		t.Fatal(err)
	}
	f := l.follow("/api/v1/stream", "0")
	if e := f.want("change"); !bytes.Contains(e.data, []byte(bad.id)) {
		t.Errorf("the change of the unreadable run: %s", e.data)
	}
	good := newSketch(t, "good", nil).command()
	l.deliver(good, 0, 1<<20)
	if e := f.want("run"); !bytes.Contains(e.data, []byte(good.id)) {
		t.Errorf("the run behind it: %s", e.data)
	}
}

func TestStreamsEndWithTheServerAndLeaveNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	st := openStore(t, t.TempDir())
	l := start(t, server.Config{Store: st})
	s := newSketch(t, "leaky", nil).command().output("x\n")
	l.deliver(s, 0, 1<<20)
	gone := l.follow(streamOf(s), "")
	gone.text(2)
	all := l.follow("/api/v1/stream", "")
	one := l.follow(streamOf(s), "")
	one.text(2)
	gone.close() // a reader that leaves
	l.stop()
	for name, f := range map[string]*follow{"run": one, "all": all} {
		for {
			if _, err := f.next(); err != nil {
				if !errors.Is(err, io.EOF) {
					t.Errorf("%s: the stream was cut, not ended: %v", name, err)
				}
				break
			}
		}
		f.close()
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	goleak.VerifyNone(t, before)
}

// A follower that does not read must hold up nobody.
func TestAStalledFollowerHoldsUpNobody(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "stalled", nil).command()
	done := l.deliver(s, 0, 1<<20)
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", streamOf(s), l.addr)
	f := l.follow(streamOf(s), "")
	line := strings.Repeat("x", 1<<16-1) + "\n"
	for range 200 {
		s.output(line)
	}
	s.finish(0)
	l.deliver(s, done, 1<<20)
	if got := f.text(200 << 16); got != strings.Repeat(line, 200) {
		t.Errorf("%d bytes came", len(got))
	}
	f.want("end")
}
