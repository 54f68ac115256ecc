package server_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server"
	"stint.dev/stint/job"
)

// dial opens a connection on which the test writes by hand.
func (l *live) dial() (net.Conn, *bufio.Reader) {
	l.t.Helper()
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		l.t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func (l *live) write(conn net.Conn, text string) {
	l.t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		l.t.Fatal(err)
	}
}

func postHead(path string, length int) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n", path, length)
}

// waitSize waits until the journal of attempt 1 has at least so many bytes.
func (l *live) waitSize(id string, least int64) int64 {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		size, err := l.store.JournalSize(l.t.Context(), id, 1)
		if err != nil {
			l.t.Fatal(err)
		}
		if size >= least {
			return size
		}
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatalf("the journal has %d bytes, want %d", size, least)
		}
	}
}

// A client that stops in the middle is cut off; what it sent is kept.
func TestStalledBodyIsCutOff(t *testing.T) {
	l := start(t, server.Config{BodyStallTimeout: 200 * time.Millisecond})
	s := newSketch(t, "j", nil).command().output(strings.Repeat("x", 1000)).finish(0)
	data := s.bytes()
	conn, r := l.dial()
	l.write(conn, postHead(journalPath(s.id, 1, 0), len(data))+string(data[:700]))
	if _, err := r.ReadByte(); !errors.Is(err, io.EOF) {
		var ne net.Error
		if errors.As(err, &ne) && ne.Timeout() {
			t.Fatal("the server still waits for the body")
		}
	}
	if size := l.waitSize(s.id, 700); size != 700 {
		t.Errorf("size %d, want the 700 bytes that came", size)
	}
	p := l.do("POST", journalPath(s.id, 1, 0), data).problem(t, http.StatusConflict)
	l.do("POST", journalPath(s.id, 1, *p.Size), data[*p.Size:]).ok(t, nil)
	if run := l.run(s.id); !run.Output.Complete {
		t.Errorf("the run is not complete: %+v", run.Output)
	}
}

// A slow client that keeps sending is served, although all of it takes longer than one
// pause may.
func TestSlowLinkIsServed(t *testing.T) {
	const pause = 400 * time.Millisecond
	l := start(t, server.Config{BodyStallTimeout: pause})
	s := newSketch(t, "j", nil).command().finish(0)
	data := s.bytes()
	conn, r := l.dial()
	l.write(conn, postHead(journalPath(s.id, 1, 0), len(data)))
	began := time.Now()
	tick := time.NewTicker(pause / 8)
	defer tick.Stop()
	part := len(data)/16 + 1
	for len(data) > 0 {
		n := min(part, len(data))
		l.write(conn, string(data[:n]))
		data = data[n:]
		<-tick.C
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if took := time.Since(began); resp.StatusCode != http.StatusOK || took < pause {
		t.Errorf("status %d after %s; the test wants one that took longer than %s", resp.StatusCode, took, pause)
	}
}

// A client may not draw a body out for ever, however steadily it sends.
func TestDrawnOutBodyIsCutOff(t *testing.T) {
	l := start(t, server.Config{BodyStallTimeout: time.Minute, BodyTimeout: 300 * time.Millisecond})
	s := newSketch(t, "j", nil)
	conn, r := l.dial()
	l.write(conn, postHead(journalPath(s.id, 1, 0), 1<<20))
	ended := make(chan error, 1)
	go func() { _, err := r.ReadByte(); ended <- err }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for i := 0; ; i++ {
		select {
		case <-ended:
			return
		case <-deadline:
			t.Fatal("the server still reads")
		case <-tick.C:
			_, _ = conn.Write(s.bytes()[i%len(s.bytes()):][:1]) // fails once cut off
		}
	}
}

// slowBodies opens connections that send some bytes of a body with a token, and no more.
func (l *live) slowBodies(n int, token, head, bytes string) {
	l.t.Helper()
	if token != "" {
		head += "Authorization: Bearer " + token + "\r\n"
	}
	for range n {
		conn, _ := l.dial()
		id := newSketch(l.t, "slow", nil).id
		l.write(conn, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: 8000000\r\n\r\n%s", journalPath(id, 1, 0), head, bytes))
	}
}

// waitMetric waits until a metric has a value.
func (l *live) waitMetric(token, name string, good func(value int) bool) {
	l.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for last := ""; ; {
		var headers []string
		if token != "" {
			headers = []string{"Authorization", "Bearer " + token}
		}
		_, after, _ := strings.Cut(string(l.get("/metrics", headers...).body), "\n"+name+" ")
		last, _, _ = strings.Cut(after, "\n")
		if value, err := strconv.Atoi(last); err == nil && good(value) {
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			l.t.Fatalf("%s is %q", name, last)
		}
	}
}

// However many bodies one client has on their way, the server holds no more than there is, and
// has room for those of others.
func TestBodiesOfOneClientLeaveRoom(t *testing.T) {
	const memory = 4 << 20
	l := start(t, server.Config{BodyMemory: memory, BodyStallTimeout: 20 * time.Second, RequireToken: true})
	mint := func(scope access.Scope) string { return l.mint(scope, time.Time{}, time.Now()) }
	hoarder, other, admin := mint(access.Agent), mint(access.Agent), mint(access.Admin)
	part := string(newSketch(t, "j", nil).bytes()[:16]) + strings.Repeat("x", 20_000)
	l.slowBodies(60, hoarder, "", part) // each holds 64 KiB
	l.waitMetric(admin, "stint_body_bytes", func(n int) bool { return n > memory/3 && n <= memory/2 })
	window := "\x28\xb5\x2f\xfd\x00\x50" // a frame that wants a window of 1 MiB, and says no more
	l.slowBodies(40, hoarder, "Content-Encoding: zstd\r\n", window+strings.Repeat("\x00", 20))
	s := newSketch(t, "j", nil).command().output(strings.Repeat("y", 100_000))
	l.do("POST", journalPath(s.id, 1, 0), s.bytes(), "Authorization", "Bearer "+other).ok(t, nil)
	l.waitMetric(admin, "stint_body_bytes", func(n int) bool { return n <= memory/2 })
}

// A body that makes no progress loses its memory to one of the same client that comes.
func TestStandingBodiesMakeRoom(t *testing.T) {
	const memory = 1 << 20
	l := start(t, server.Config{BodyMemory: memory, BodyStallTimeout: time.Minute, BodyTimeout: time.Hour})
	part := strings.Repeat("x", 20_000)
	l.slowBodies(40, "", "", part)
	s := newSketch(t, "j", nil).command().output(strings.Repeat("y", 200_000))
	got := l.do("POST", journalPath(s.id, 1, 0), s.bytes())
	for try := 0; got.status == http.StatusTooManyRequests && try < 5; try++ {
		if got.header.Get("Retry-After") == "" {
			t.Error("429 without Retry-After")
		}
		got = l.do("POST", journalPath(s.id, 1, 0), s.bytes())
	}
	got.ok(t, nil)
}

// A client that brings a byte from time to time does not keep its place for ever.
func TestDrippingBodyIsCutOff(t *testing.T) {
	l := start(t, server.Config{BodyStallTimeout: 500 * time.Millisecond, BodyTimeout: time.Hour})
	conn, r := l.dial()
	l.write(conn, postHead(journalPath(newSketch(t, "j", nil).id, 1, 0), 1<<20))
	ended := make(chan error, 1)
	go func() { _, err := r.ReadByte(); ended <- err }()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case <-ended:
			return
		case <-deadline:
			t.Fatal("the server still reads")
		case <-tick.C:
			_, _ = conn.Write([]byte("S")) // fails once cut off
		}
	}
}

// Idle connections, and ones that never finish a request, make room for others when there are
// too many; one that an agent holds is kept.
func TestConnectionsAreBounded(t *testing.T) {
	const most = 64
	l := start(t, server.Config{MaxConnections: most})
	agent, r := l.dial()
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	beat := func() {
		t.Helper()
		body := `{"period_ms":5000}`
		l.write(agent, postHead("/api/v1/runs/"+s.id+"/attempts/1/heartbeat", len(body))+body)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			t.Fatalf("heartbeat: %d", resp.StatusCode)
		}
	}
	beat()
	for i := range 3 * most {
		conn, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		request := "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
		_, _ = io.WriteString(conn, request[:len(request)-i%2]) // refused when there are too many
	}
	deadline := time.After(30 * time.Second)
	for answered := false; !answered; {
		fresh := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
		resp, err := fresh.Get(l.url + "/readyz")
		if answered = err == nil && resp.StatusCode == http.StatusOK; answered {
			resp.Body.Close()
		}
		select {
		case <-deadline:
			t.Fatal("nobody is answered any more:", err)
		default:
		}
	}
	beat()
	l.waitMetric("", "stint_connections", func(n int) bool { return n <= most })
}

func TestHugeHeaders(t *testing.T) {
	l := start(t, server.Config{})
	conn, r := l.dial()
	go func() { // the server may close before all is written
		_, _ = io.WriteString(conn, "GET /api/v1/runs?job="+strings.Repeat("n", 10<<20)+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}()
	resp, err := http.ReadResponse(r, nil)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status %d", resp.StatusCode)
		}
	}
	l.get("/healthz").ok(t, nil)
}

// failing is a store whose database is away, or which panics.
type failing struct {
	server.Store
	err   error
	panic bool
}

func (f failing) Ping(context.Context) error { return f.err }

func (f failing) Jobs(context.Context, query.Jobs) (query.JobPage, error) {
	if f.panic {
		panic("a bug in the store: secret-detail")
	}
	return query.JobPage{}, f.err
}

func (f failing) Ingest(context.Context, []index.Append, []lease.Beat) ([]index.Appended, []lease.BeatResult, error) {
	return nil, nil, f.err
}

func (f failing) Renew(beats []lease.Beat) []*lease.BeatResult {
	return make([]*lease.BeatResult, len(beats))
}

// full is a store whose database answers, and whose disk takes nothing more.
type full struct {
	server.Store
	refuse atomic.Bool
}

func (f *full) Ingest(ctx context.Context, appends []index.Append, beats []lease.Beat) ([]index.Appended, []lease.BeatResult, error) {
	if f.refuse.Load() {
		return nil, nil, errors.New("no space left on device")
	}
	return f.Store.Ingest(ctx, appends, beats)
}

func (f *full) Renew(beats []lease.Beat) []*lease.BeatResult {
	if f.refuse.Load() {
		return make([]*lease.BeatResult, len(beats))
	}
	return f.Store.Renew(beats)
}

// A server that cannot commit is not ready, until it can again or nobody has tried for a while.
func TestNotReadyWhileCommitsFail(t *testing.T) {
	store := &full{Store: openStore(t, t.TempDir())}
	clock := newClock()
	l := start(t, server.Config{Store: store, Now: clock.now})
	s := newSketch(t, "j", nil)
	first := s.bytes()
	store.refuse.Store(true)
	for try := range 3 {
		l.get("/readyz").ok(t, nil)
		if got := l.do("POST", journalPath(s.id, 1, 0), first); got.status < 500 {
			t.Fatalf("append %d: HTTP %d", try, got.status)
		}
	}
	if p := l.get("/readyz").problem(t, http.StatusServiceUnavailable); !strings.Contains(p.Detail, "disk") {
		t.Errorf("it says %q", p.Detail)
	}
	clock.add(time.Minute)
	l.get("/readyz").ok(t, nil)
	l.do("POST", journalPath(s.id, 1, 0), first)
	l.get("/readyz").problem(t, http.StatusServiceUnavailable)
	store.refuse.Store(false)
	l.do("POST", journalPath(s.id, 1, 0), first).ok(t, nil)
	l.get("/readyz").ok(t, nil)
}

// A heartbeat that cannot be stored counts for its agent; one that is refused does not. While
// leases are extended the server is degraded and ready: it still takes heartbeats.
func TestHeartbeatsThatCannotBeStored(t *testing.T) {
	st := openStore(t, t.TempDir())
	store, clock := &full{Store: st}, newClock()
	var extension atomic.Pointer[health.Extension]
	extension.Store(&health.Extension{})
	l := start(t, server.Config{Store: store, Now: clock.now, RequireToken: true, Extension: func() health.Extension { return *extension.Load() }})
	l.store = st
	token := func() []string {
		return []string{"Authorization", "Bearer " + l.mint(access.Agent, time.Time{}, clock.now())}
	}
	mine, other := token(), token()
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes(), mine...).ok(t, nil)
	beat := func(token []string) int {
		return l.do("POST", beatPath(s.id, 1), []byte(`{"period_ms":1000}`), token...).status
	}
	if status := beat(mine); status != http.StatusOK || !l.srv.Arrived(s.id, 1).IsZero() || l.srv.Stored().IsZero() {
		t.Errorf("a heartbeat that is stored: %d, arrived %s, stored %s", status, l.srv.Arrived(s.id, 1), l.srv.Stored())
	}
	store.refuse.Store(true)
	if status := beat(other); status != http.StatusForbidden || !l.srv.Arrived(s.id, 1).IsZero() {
		t.Errorf("another token's heartbeat: %d, arrived %s", status, l.srv.Arrived(s.id, 1))
	}
	if status := beat(mine); status < 500 || !l.srv.Arrived(s.id, 1).Equal(clock.now()) {
		t.Errorf("a heartbeat that is not stored: %d, arrived %s", status, l.srv.Arrived(s.id, 1))
	}
	store.refuse.Store(false)
	if status := beat(mine); status != http.StatusOK || !l.srv.Arrived(s.id, 1).IsZero() {
		t.Errorf("the next one: %d, arrived %s", status, l.srv.Arrived(s.id, 1))
	}

	var ready struct {
		Status, Server string
		Degraded       []string
	}
	l.get("/readyz").ok(t, &ready)
	if ready.Status != "ok" || len(ready.Degraded) > 0 || ready.Server != l.store.Installation() {
		t.Errorf("ready: %+v", ready)
	}
	extension.Store(&health.Extension{Since: clock.now(), Cause: "the database failed", Outages: 2, Seconds: 7.5, Capped: 3})
	l.get("/readyz").ok(t, &ready)
	if ready.Status != "degraded" || len(ready.Degraded) != 1 || !strings.Contains(ready.Degraded[0], "because the database failed") {
		t.Errorf("while leases are extended: %+v", ready)
	}
	figures := string(l.get("/metrics", "Authorization", "Bearer "+l.mint(access.Read, time.Time{}, clock.now())).body)
	for _, want := range []string{"stint_leases_extended 1", "stint_leases_capped 3", "stint_lease_extensions_total 2", "stint_outage_seconds_total 7.5", "stint_heartbeat_wait_seconds 0"} {
		if !strings.Contains(figures, want+"\n") {
			t.Errorf("the metrics lack %q", want)
		}
	}
}

// The client of a server with a fault of its own learns that, and the log learns the rest.
func TestServerFaults(t *testing.T) {
	for _, tt := range []failing{{err: errors.New("secret-detail: disk on fire")}, {panic: true}} {
		var log bytes.Buffer
		tt.Store = openStore(t, t.TempDir())
		l := start(t, server.Config{Store: tt, Log: slog.New(slog.NewTextHandler(&log, nil))})
		p := l.get("/api/v1/jobs").problem(t, http.StatusInternalServerError)
		if strings.Contains(p.Detail, "secret-detail") || strings.Contains(p.Detail, "goroutine") {
			t.Errorf("the client got %q", p.Detail)
		}
		if tt.err != nil {
			s := newSketch(t, "j", nil)
			l.do("POST", journalPath(s.id, 1, 0), s.bytes()).problem(t, http.StatusInternalServerError)
			l.get("/readyz").problem(t, http.StatusServiceUnavailable)
		}
		l.get("/healthz").ok(t, nil)
		l.stop()
		if !strings.Contains(log.String(), "secret-detail") {
			t.Errorf("the log does not say why: %s", log.String())
		}
	}
}

// Shutdown: readyz says so, what runs finishes, what comes later is refused, and no
// goroutine is left.
func TestShutdown(t *testing.T) {
	st := openStore(t, t.TempDir())
	before := goleak.IgnoreCurrent()
	l := start(t, server.Config{Store: st, ShutdownTimeout: 20 * time.Second})
	l.store = st
	l.get("/readyz").ok(t, nil)

	s := newSketch(t, "j", nil).command().finish(0)
	data := s.bytes()
	conn, r := l.dial()
	l.write(conn, postHead(journalPath(s.id, 1, 0), len(data))+string(data[:100]))
	l.srv.Drain()
	select {
	case <-l.srv.Stopping():
	default:
		t.Error("Stopping is open after Drain")
	}
	l.get("/readyz").problem(t, http.StatusServiceUnavailable)
	l.get("/healthz").ok(t, nil)

	http.DefaultClient.CloseIdleConnections()
	stopped := make(chan struct{})
	go func() { defer close(stopped); l.stop() }()
	l.write(conn, string(data[100:]))
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the running append was answered %d %s, %v", resp.StatusCode, body, err)
	}
	_ = conn.Close()
	<-stopped
	if size, err := st.JournalSize(t.Context(), s.id, 1); err != nil || size != int64(len(data)) {
		t.Errorf("size %d, %v; want %d", size, err, len(data))
	}
	if c, err := net.Dial("tcp", l.addr); err == nil {
		_ = c.Close()
		t.Error("the listener is still open")
	}
	goleak.VerifyNone(t, before)
}

func TestMetrics(t *testing.T) {
	l := start(t, server.Config{Version: "1.2.3"})
	s := newSketch(t, "j", nil).command()
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).ok(t, nil)
	l.do("POST", journalPath(s.id, 1, 0), s.bytes()).problem(t, http.StatusConflict)
	l.beat(s.id, 1, job.Heartbeat{})
	body := string(l.get("/metrics").body)
	for _, want := range []string{
		`stint_info{version="1.2.3"} 1`, "stint_appends_total 1\n", fmt.Sprintf("stint_journal_bytes_total %d\n", len(s.bytes())),
		"stint_heartbeats_total 1\n", `stint_appends_refused_total{why="offset"} 1`, `stint_run_changes_total{to="running"} 1`,
		`stint_active_runs{state="running"} 1`, "stint_commit_seconds_count 2\n" /* the heartbeat needs no transaction */, "stint_body_bytes 0\n", "stint_stream_readers 0\n",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q in\n%s", want, body)
		}
	}
}
