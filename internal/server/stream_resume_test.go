package server_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// A follower is cut off again and again, and so is the server; what it saw in all must be
// what was printed, each byte once.
func TestStreamResumesExactlyAcrossServers(t *testing.T) {
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	s := newSketch(t, "resumed", nil).command()
	var printed [2]strings.Builder
	streams := []job.Stream{job.Stdout, job.Stderr}
	for i := range 400 {
		which := random.IntN(2)
		text := fmt.Sprintf("%d %s\n", i, strings.Repeat("x", random.IntN(3000)))
		printed[which].WriteString(text)
		s.print(0, streams[which], []byte(text))
	}
	s.finish(0)

	var got [2]strings.Builder
	lastID, sent, ended := "", 0, false
	for round := 0; !ended; round++ {
		st := openStore(t, dir)
		l := start(t, server.Config{Store: st})
		if sent < len(s.bytes()) {
			next := min(len(s.bytes()), sent+60_000)
			l.do("POST", journalPath(s.id, 1, int64(sent)), s.bytes()[sent:next]).ok(t, nil)
			sent = next
		}
		f := l.follow(streamOf(s), lastID)
		for range 1 + random.IntN(20) {
			e, err := f.next()
			if err != nil {
				t.Fatal(err)
			}
			if e.kind == "output" {
				text, d := e.output(t)
				got[map[job.Stream]int{job.Stdout: 0, job.Stderr: 1}[d.Stream]].WriteString(text)
			}
			if ended = e.kind == "end"; ended || sent < len(s.bytes()) && f.behind(sent) {
				break
			}
		}
		lastID = f.lastID
		f.close()
		l.stop()
		if err := st.Close(); err != nil {
			t.Fatal(err)
		}
		if round > 500 {
			t.Fatal("it does not come to an end")
		}
	}
	for i, stream := range streams {
		if got[i].String() != printed[i].String() {
			t.Errorf("%s: printed %d bytes, followed %d", stream, printed[i].Len(), got[i].Len())
		}
	}
}

// behind reports whether the stream has sent all whole records of what was sent, so that
// no further event would come.
func (f *follow) behind(sent int) bool {
	var attempt, pos int
	_, _ = fmt.Sscanf(f.lastID, "%d:%d", &attempt, &pos)
	return sent-pos < 4000
}

func TestStreamGoesOnWithTheNextAttempt(t *testing.T) {
	l := start(t, server.Config{})
	s := newSketch(t, "again", nil).command().output("first\n")
	l.deliver(s, 0, 1<<20)
	f := l.follow(streamOf(s), "")
	pinned := l.follow(streamOf(s)+"?attempt=1", "")
	f.text(6)
	pinned.text(6)

	// The run is lost, and a second attempt begins. Nothing notified the server: the streams
	// must see it by themselves.
	f.lose(l, s.id)
	if e := f.want("end"); !strings.Contains(string(e.data), "lost") {
		t.Fatalf("end %s", e.data)
	}
	pinned.want("end")
	second := newAttempt(t, s.id, 2, "again", nil).command().output("second\n")
	l.do("POST", journalPath(s.id, 2, 0), second.bytes()).ok(t, nil)

	f = l.follow(streamOf(s), f.lastID)
	if e := f.want("attempt"); e.id != "2:0" || string(e.data) != `{"attempt":2}` {
		t.Fatalf("attempt event %q %s", e.id, e.data)
	}
	if got := f.text(7); got != "second\n" {
		t.Fatalf("of the second attempt came %q", got)
	}
	if got := l.get("/api/v1/runs/" + s.id + "/log?attempt=1"); string(got.body) != "first\n" {
		t.Errorf("log of the first attempt: %q", got.body)
	}
	if got := l.get("/api/v1/runs/" + s.id + "/log"); string(got.body) != "second\n" {
		t.Errorf("log of the last attempt: %q", got.body)
	}
}

// lose lets the run's lease expire, as the monitor would.
func (f *follow) lose(l *live, id string) {
	f.t.Helper()
	leases, err := l.store.Due(f.t.Context(), time.Now().Add(time.Hour), 10)
	if err != nil || len(leases) != 1 || leases[0].Run != id {
		f.t.Fatalf("leases %+v, %v", leases, err)
	}
	judged, err := l.store.Judge(f.t.Context(), []lease.Verdict{{
		Run: id, Attempt: leases[0].Attempt, ReportedAt: leases[0].ReportedAt, At: time.Now(), Lost: true, Evidence: "Test.",
	}})
	if err != nil || len(judged) != 1 {
		f.t.Fatalf("judged %+v, %v", judged, err)
	}
}
