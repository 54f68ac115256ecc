package server_test

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"

	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

func journalPath(id string, attempt int, offset int64) string {
	return fmt.Sprintf("/api/v1/runs/%s/attempts/%d/journal?offset=%d", id, attempt, offset)
}

func TestAppendsBecomeARun(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "train", map[string]string{"team": "a"}).command().output("one\ntwo\n").finish(3)
	data := s.bytes()
	half := int64(len(data) / 2)

	var first, again, last job.AppendReply
	l.do("POST", journalPath(s.id, 1, 0), data[:half]).ok(t, &first)
	if first != (job.AppendReply{Run: s.id, Attempt: 1, Server: l.store.Installation(), Size: half, Number: 1}) {
		t.Errorf("reply %+v", first)
	}
	if first.Size != half {
		t.Fatalf("size %d after %d bytes", first.Size, half)
	}
	// The reply was lost and the agent sends the same again: 409 says where to go on.
	p := l.do("POST", journalPath(s.id, 1, 0), data[:half]).problem(t, http.StatusConflict)
	if p.Size == nil || *p.Size != half || p.Type != job.ProblemWrongOffset || p.Server != l.store.Installation() {
		t.Fatalf("the problem names size %v, want %d", p.Size, half)
	}
	// An empty append asks.
	l.do("POST", journalPath(s.id, 1, half), nil).ok(t, &again)
	if again.Size != half {
		t.Fatalf("asked for the size, got %d, want %d", again.Size, half)
	}
	if p := l.do("POST", journalPath(s.id, 1, 0), nil).problem(t, http.StatusConflict); *p.Size != half {
		t.Fatalf("asked at the wrong place, got size %d, want %d", *p.Size, half)
	}
	l.do("POST", journalPath(s.id, 1, half), data[half:]).ok(t, &last)
	if last.Size != int64(len(data)) {
		t.Fatalf("size %d at the end, want %d", last.Size, len(data))
	}

	for _, ref := range []string{s.id, s.id[:13], "train%231"} {
		run := l.run(ref)
		if run.ID != s.id || run.State != job.Failed || run.Outcome == nil || run.Outcome.ExitCode == nil || *run.Outcome.ExitCode != 3 {
			t.Errorf("GET run %s: %+v", ref, run)
		}
		if !run.Output.Complete || run.Output.Bytes != 8 || run.Number != 1 {
			t.Errorf("GET run %s: output %+v, number %d", ref, run.Output, run.Number)
		}
	}
	got := l.get("/api/v1/runs/" + s.id + "/attempts/1/journal?offset=16")
	if !bytes.Equal(got.body, data[16:]) || got.header.Get("Stint-Journal-Size") != fmt.Sprint(len(data)) {
		t.Errorf("the journal came back with %d bytes and size %s, want %d", len(got.body), got.header.Get("Stint-Journal-Size"), len(data))
	}
}

// The start of a run is corrected by what the agent's clock is off when its journal arrives.
func TestStartIsCorrectedByTheAgentsClock(t *testing.T) {
	l := start(t, server.Config{})
	for name, tt := range map[string]struct {
		clock func(began time.Time) string // when it began, by the agent's clock
		ago   time.Duration                // how long before its arrival it started
	}{
		"a minute ago":  {func(began time.Time) string { return began.Add(time.Minute).Format(time.RFC3339Nano) }, time.Minute},
		"hours ago":     {func(began time.Time) string { return began.Add(2 * time.Hour).Format(time.RFC3339Nano) }, 2 * time.Hour},
		"says nothing":  {func(time.Time) string { return "" }, 0},
		"says nonsense": {func(time.Time) string { return "noon" }, 0},
	} {
		s := newSketch(t, "train", nil)
		began := s.at.Truncate(time.Microsecond)
		s.command().finish(0)
		before := time.Now()
		l.do("POST", journalPath(s.id, 1, 0), s.bytes(), job.HeaderClock, tt.clock(began)).ok(t, nil)
		run, after := l.run(s.id), time.Now()
		least, most := before.Add(-tt.ago), after.Add(-tt.ago)
		if tt.ago == 0 { // the agent's time as it is, unless it is ahead
			least, most = before.Add(-time.Second), began
		}
		if run.StartAt.Before(least.Truncate(time.Microsecond)) || run.StartAt.After(most) {
			t.Errorf("%s: started at %s, want %s to %s", name, run.StartAt, least, most)
		}
	}
}

func TestCompressedAppend(t *testing.T) {
	l := start(t, server.Config{})
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()

	s := newSketch(t, "z", nil).command().output(strings.Repeat("line\n", 50_000)).finish(0)
	var reply job.AppendReply
	l.do("POST", journalPath(s.id, 1, 0), enc.EncodeAll(s.bytes(), nil), "Content-Encoding", "zstd").ok(t, &reply)
	if reply.Size != int64(len(s.bytes())) || l.run(s.id).State != job.Succeeded {
		t.Errorf("size %d, want %d; state %s", reply.Size, len(s.bytes()), l.run(s.id).State)
	}

	other := uuid.Must(uuid.NewV7()).String()
	bomb := enc.EncodeAll(make([]byte, 64<<20), nil)
	l.do("POST", journalPath(other, 1, 0), bomb, "Content-Encoding", "zstd").problem(t, http.StatusRequestEntityTooLarge)
	l.do("POST", journalPath(other, 1, 0), []byte("not zstd at all"), "Content-Encoding", "zstd").problem(t, http.StatusBadRequest)
	short := enc.EncodeAll(s.bytes(), nil)
	l.do("POST", journalPath(other, 1, 0), short[:len(short)/2], "Content-Encoding", "zstd").problem(t, http.StatusBadRequest)
	l.do("POST", journalPath(other, 1, 0), []byte("x"), "Content-Encoding", "br").problem(t, http.StatusUnsupportedMediaType)
	l.get("/api/v1/runs/"+other).problem(t, http.StatusNotFound)
}

func TestAppendsThatAreRefused(t *testing.T) {
	l := start(t, server.Config{})
	done := newSketch(t, "j", nil).command().finish(0)
	l.do("POST", journalPath(done.id, 1, 0), done.bytes()).ok(t, nil)
	fresh := newSketch(t, "j", nil).command()
	corrupt := bytes.Clone(fresh.bytes())
	corrupt[40] ^= 1
	newer := bytes.Clone(fresh.bytes())
	newer[8] = 9
	id := fresh.id
	huge := strings.Repeat("n", 10<<20)
	named := newSketch(t, huge[:700_000], nil)

	tests := []struct {
		name   string
		path   string
		body   []byte
		status int
	}{
		{"corrupt", journalPath(id, 1, 0), corrupt, 422},
		{"not a journal", journalPath(id, 1, 0), []byte("GET / HTTP/1.1\r\n\r\n hello"), 422},
		{"of another run", journalPath(uuid.Must(uuid.NewV7()).String(), 1, 0), fresh.bytes(), 422},
		{"of another attempt", journalPath(id, 2, 0), fresh.bytes(), 422},
		{"name of 700 kB", journalPath(named.id, 1, 0), named.bytes(), 422},
		{"after the outcome", journalPath(done.id, 1, int64(len(done.bytes()))), fresh.bytes()[16:], 422},
		{"too large", journalPath(id, 1, 0), make([]byte, 8<<20+1), 413},
		{"beyond the end", journalPath(id, 1, 5), []byte("x"), 409},
		{"no offset", "/api/v1/runs/" + id + "/attempts/1/journal", []byte("x"), 400},
		{"negative offset", journalPath(id, 1, -1), []byte("x"), 400},
		{"offset in words", "/api/v1/runs/" + id + "/attempts/1/journal?offset=ten", []byte("x"), 400},
		{"unknown parameter", journalPath(id, 1, 0) + "&ofset=1", []byte("x"), 400},
		{"not a run id", journalPath("abc", 1, 0), []byte("x"), 400},
		{"attempt 0", journalPath(id, 0, 0), []byte("x"), 400},
		{"attempt beyond the most", journalPath(id, 1_000_001, 0), []byte("x"), 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l.t = t
			l.do("POST", tt.path, tt.body).problem(t, tt.status)
		})
	}
	l.t = t
	// Nothing of all that left a trace, and the true journal is still taken.
	l.get("/api/v1/runs/"+id).problem(t, http.StatusNotFound)
	l.do("POST", journalPath(id, 1, 0), fresh.bytes()).ok(t, nil)
	if got := l.get("/api/v1/runs/" + done.id + "/attempts/1/journal"); !bytes.Equal(got.body, done.bytes()) {
		t.Error("the ended run's journal changed")
	}
}

// Many agents at once: everything that was acknowledged is there, byte for byte.
func TestManyAgentsAtOnce(t *testing.T) {
	l := start(t, server.Config{})
	const agents, lines = 24, 40
	sketches := make([]*sketch, agents)
	for i := range sketches {
		sketches[i] = newSketch(t, fmt.Sprintf("job-%d", i%3), nil).command()
		for n := range lines {
			sketches[i].output(fmt.Sprintf("agent %d line %d\n", i, n))
		}
		sketches[i].finish(0)
	}
	var wg sync.WaitGroup
	for _, s := range sketches {
		wg.Go(func() {
			data := s.bytes()
			for at := 0; at < len(data); {
				next := min(at+997, len(data))
				r := l.do("POST", journalPath(s.id, 1, int64(at)), data[at:next])
				var reply job.AppendReply
				if r.status != http.StatusOK {
					t.Errorf("append: status %d: %s", r.status, r.body)
					return
				}
				r.json(t, &reply)
				at = int(reply.Size)
			}
		})
	}
	wg.Wait()
	for _, s := range sketches {
		if got := l.get("/api/v1/runs/" + s.id + "/attempts/1/journal"); !bytes.Equal(got.body, s.bytes()) {
			t.Errorf("run %s: %d bytes came back, want %d", s.id, len(got.body), len(s.bytes()))
		}
		if run := l.run(s.id); !run.Output.Complete || run.State != job.Succeeded {
			t.Errorf("run %s: %s, output %+v", s.id, run.State, run.Output)
		}
	}
}
