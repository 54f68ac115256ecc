package conns

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
)

// seen is an Observer that records its calls.
type seen struct{ events []string }

func (s *seen) Disconnected(d lease.Disconnect) {
	how := "silent"
	if d.Peer {
		how = "closed"
	}
	if d.Indirect {
		how += " indirect"
	}
	if d.Forwarded {
		how += " forwarded"
	}
	if !d.Due.IsZero() {
		how += " due"
	}
	s.events = append(s.events, d.Run+" "+how)
}

func (s *seen) Returned(run string, _ int) { s.events = append(s.events, run+" returned") }

// take returns what was reported since the last call, in the order of names.
func (s *seen) take() string {
	slices.Sort(s.events)
	defer func() { s.events = nil }()
	return strings.Join(s.events, ", ")
}

// fakeConn is one end of no network.
type fakeConn struct{ net.Conn }

func (fakeConn) Close() error { return nil }

// traced drives connections by words: "1 append a", "1 held a", "1 beat a", "1 proxied a",
// "2 peer", "2 silent", "2 ours", "wait 8s", "end a". A beat, and an append on a connection
// that is held, name the address that their connection has; "elsewhere" another one, and
// "unnamed" none.
type traced struct {
	t     *testing.T
	now   time.Time
	beats int64
	seen  *seen
	c     *Agents
	conns map[string]*watchedConn
}

func newTraced(t *testing.T) *traced {
	tr := &traced{t: t, now: time.Unix(1000, 0), seen: &seen{}, conns: map[string]*watchedConn{}}
	tr.c = NewAgents(func() time.Time { return tr.now }, tr.seen)
	return tr
}

const testPeriod = 5 * time.Second

func (tr *traced) do(line string) {
	tr.t.Helper()
	words := strings.Fields(line)
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			tr.t.Fatal(err)
		}
		tr.now = tr.now.Add(d)
		return
	case "end":
		tr.c.Forget(words[1], 1)
		return
	}
	conn := tr.conns[words[0]]
	if conn == nil {
		conn = &watchedConn{Conn: fakeConn{}}
		tr.conns[words[0]] = conn
	}
	r := httptest.NewRequest(http.MethodPost, "/", nil).WithContext(tr.c.ConnContext(context.Background(), conn))
	r.RemoteAddr = "[::ffff:10.0.0.1]:100" + words[0]
	local := map[bool]string{false: "10.0.0.1:100" + words[0], true: "192.168.0.7:4711"}[words[len(words)-1] == "elsewhere"]
	if (words[1] == "beat" || words[1] == "held") && words[len(words)-1] != "unnamed" {
		r.Header.Set(job.HeaderLocalAddress, local)
	}
	switch words[1] {
	case "append", "held":
		tr.c.Append(tr.c.Arrived(r, words[2], 1), r)
	case "proxied":
		r.Header.Set("Via", "1.1 proxy")
		tr.c.Append(tr.c.Arrived(r, words[2], 1), r)
	case "beat":
		tr.beats++
		tr.c.Beat(tr.c.Arrived(r, words[2], 1), r, tr.beats, testPeriod)
	case "peer", "silent", "ours":
		conn.recordCause(map[string]error{"peer": io.EOF, "silent": syscall.ETIMEDOUT, "ours": net.ErrClosed}[words[1]])
		tr.c.ConnState(conn, http.StateClosed)
	default:
		tr.t.Fatalf("what is %q?", line)
	}
}

func TestWhatClosedConnectionsSay(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps string // the last one closes a connection
		want  string
	}{
		{"an append and a beat", "1 append a; 1 beat a elsewhere; 1 peer", "a closed indirect"},
		{"two beats", "1 beat a elsewhere; 1 beat a elsewhere; 1 peer", "a closed indirect"},
		{"one beat, and nothing between", "1 beat a; 1 peer", "a closed"},
		{"one beat, and something between", "1 beat a elsewhere; 1 peer", ""},
		{"the first append", "1 held a; 1 peer", "a closed"},
		{"the first append, and something between", "1 held a elsewhere; 1 peer", ""},
		{"two appends, and something between", "1 held a elsewhere; 1 held a elsewhere; 1 peer", "a closed indirect"},
		{"long after two appends, and something between", "1 held a elsewhere; 1 held a elsewhere; wait 8s; 1 peer", "a silent indirect"},
		{"an append after the last beat is no beat", "1 beat a elsewhere; wait 4s; 1 held a elsewhere; wait 4s; 1 peer", "a silent indirect"},
		{"an append that ends the run", "1 held a; end a; 1 peer", ""},
		{"a proxy's connection for appends", "1 held a elsewhere; 1 held b elsewhere; 1 held a elsewhere; 1 peer", ""},
		{"an agent that names no address", "1 beat a unnamed; 1 beat a unnamed; 1 peer", "a closed indirect due"},
		{"appends only", "1 append a; 1 append a; 1 append a; 1 peer", ""},
		{"appends on another connection", "1 beat a; 2 append a; 2 peer", ""},
		{"and then that of the heartbeats", "1 beat a; 2 append a; 2 peer; 1 peer", "a closed"},
		{"all of them, that of the heartbeats first", "1 beat a; 2 append a; 1 peer; 2 peer", "a closed"},
		{"a request that was on its way is no return", "1 beat a; 2 append a; 1 peer; 2 append a; 2 peer", "a closed"},
		{"a request on a new connection is one", "1 beat a; 2 append a; 1 peer; 3 append a; 2 peer; 3 peer", ""},
		{"moved to another", "1 beat a; 2 beat a; 1 peer", ""},
		{"each on its own", "1 append a; 1 peer; 2 beat a elsewhere; 2 peer; 3 beat a elsewhere; 3 peer", ""},
		{"timed out", "1 append a; 1 beat a; 1 silent", "a silent"},
		{"closed by the server", "1 append a; 1 beat a; 1 ours", "a silent"},
		{"ended", "1 append a; 1 beat a; end a; 1 peer", ""},
		{"ended while another goes on", "1 beat a; 1 beat b; end a; 1 peer", ""},
		{"a proxy's connection", "1 beat a; 1 beat b; 1 beat a; 1 beat b; 1 peer", ""},
		{"journals of others on the way", "1 append b; 1 append a; 1 beat a; 1 append c; 1 peer", "a closed"},
		{"a proxy that says so", "1 proxied a; 1 beat a; 1 peer", "a closed indirect forwarded"},
		{"long idle, and nothing between", "1 beat a; wait 10m; 1 peer", "a closed"},
		{"long idle, and something between", "1 append a; 1 beat a elsewhere; wait 8s; 1 peer", "a silent indirect"},
		{"idle, and something between", "1 append a; 1 beat a elsewhere; wait 7s; 1 peer", "a closed indirect"},
		{"the address of another connection", "1 append a; 1 beat a; 1 beat a elsewhere; 1 peer", "a closed indirect"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTraced(t)
			for step := range strings.SplitSeq(c.steps, "; ") {
				tr.seen.take()
				tr.do(step)
			}
			if got := tr.seen.take(); got != c.want {
				t.Errorf("reported %q, want %q", got, c.want)
			}
		})
	}
}

func TestAnAgentThatReturnsIsTold(t *testing.T) {
	tr := newTraced(t)
	for _, step := range []struct{ do, reported string }{
		{"1 append a", "a returned"},
		{"1 beat a", ""},
		{"1 peer", "a closed"},
		{"2 append a", "a returned"},
		{"2 beat a", ""},
		{"3 append a", ""},
		{"2 silent", ""},
		{"3 peer", "a silent"},
		{"4 beat a", "a returned"},
	} {
		tr.do(step.do)
		if got := tr.seen.take(); got != step.reported {
			t.Errorf("%s: reported %q, want %q", step.do, got, step.reported)
		}
	}
}

// Whatever comes in whatever order: an attempt is reported as disconnected only when every
// connection that its agent used is closed and the attempt has not ended, and when all is
// closed nothing is left behind.
func TestClosedConnectionsModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tr := newTraced(t)
		open := map[string]map[string]bool{} // by run
		ended := map[string]bool{}
		forgetConn := func(conn string) {
			for _, conns := range open {
				delete(conns, conn)
			}
		}
		closed := map[string]bool{}
		for range rapid.IntRange(1, 40).Draw(rt, "steps") {
			conn := fmt.Sprint(rapid.IntRange(1, 4).Draw(rt, "conn"))
			run := rapid.SampledFrom([]string{"a", "b"}).Draw(rt, "run")
			what := rapid.SampledFrom([]string{"append", "held", "beat", "peer", "silent", "ours", "end"}).Draw(rt, "what")
			switch what {
			case "end":
				tr.do("end " + run)
				ended[run] = true
				delete(open, run)
			case "append", "held", "beat":
				tr.do(conn + " " + what + " " + run)
				if !closed[conn] {
					if open[run] == nil {
						open[run] = map[string]bool{}
					}
					open[run][conn], ended[run] = true, false
				}
			default:
				tr.do(conn + " " + what)
				closed[conn] = true
				forgetConn(conn)
			}
			for _, event := range tr.seen.events {
				run, _, _ := strings.Cut(event, " ")
				if strings.HasSuffix(event, "returned") {
					continue
				}
				if ended[run] || len(open[run]) > 0 {
					rt.Fatalf("%s, but it ended (%v) or has open connections %v", event, ended[run], open[run])
				}
			}
			tr.seen.take()
		}
		for conn := range tr.conns {
			tr.do(conn + " peer")
			tr.do(conn + " beat a") // one that was in hand when its connection closed
		}
		if len(tr.c.attempts) != 0 {
			rt.Fatalf("left behind: %v", tr.c.attempts)
		}
	})
}

func TestSameAddress(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"10.0.0.1:99", "10.0.0.1:99", true},
		{"10.0.0.1:99", "[::ffff:10.0.0.1]:99", true},
		{"[fe80::1%eth0]:99", "[fe80::1%ens3]:99", true},
		{"10.0.0.1:99", "10.0.0.1:98", false},
		{"10.0.0.2:99", "10.0.0.1:99", false},
		{"", "", false},
		{"", "10.0.0.1:99", false},
		{"10.0.0.1", "10.0.0.1", false},
		{"localhost:99", "localhost:99", false},
	} {
		if got := sameAddress(c.a, c.b); got != c.want {
			t.Errorf("%q and %q: %v", c.a, c.b, got)
		}
	}
}

// pair is both ends of a TCP connection; the first is watched.
func pair(t *testing.T) (*watchedConn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // its one connection has been taken
	far, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := (watchedListener{Listener: l}).Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() }) // most of them are closed already
	return watchedConnOf(near), far.(*net.TCPConn)
}

func TestWhyAConnectionEnded(t *testing.T) {
	read := func(c *watchedConn) { _, _ = c.Read(make([]byte, 1)) }
	for _, tc := range []struct {
		name string
		end  func(near *watchedConn, far *net.TCPConn) error
		want endCause
	}{
		{"the peer closes", func(near *watchedConn, far *net.TCPConn) error {
			err := far.Close()
			read(near)
			return err
		}, endPeer},
		{"the peer resets", func(near *watchedConn, far *net.TCPConn) error {
			err := errors.Join(far.SetLinger(0), far.Close())
			read(near)
			return err
		}, endPeer},
		{"the peer resets, and a write finds out", func(near *watchedConn, far *net.TCPConn) error {
			err := errors.Join(far.SetLinger(0), far.Close())
			for near.cause.Load() == 0 {
				_, _ = near.Write(make([]byte, 1<<10))
			}
			return err
		}, endPeer},
		{"a deadline passes", func(near *watchedConn, _ *net.TCPConn) error {
			err := near.SetReadDeadline(time.Unix(1, 0))
			read(near)
			return errors.Join(err, near.Close())
		}, endUnknown},
		{"a deadline passes, and then the peer closes", func(near *watchedConn, far *net.TCPConn) error {
			err := near.SetReadDeadline(time.Unix(1, 0))
			read(near)
			err = errors.Join(err, near.SetReadDeadline(time.Time{}), far.Close())
			read(near)
			return err
		}, endPeer},
		{"the server closes", func(near *watchedConn, far *net.TCPConn) error {
			err := near.Close()
			read(near)
			return errors.Join(err, far.Close())
		}, endUnknown},
	} {
		t.Run(tc.name, func(t *testing.T) {
			near, far := pair(t)
			near.keepAlive()
			if err := tc.end(near, far); err != nil {
				t.Fatal(err)
			}
			if got := endCause(near.cause.Load()); got != tc.want {
				t.Errorf("cause %d, want %d", got, tc.want)
			}
		})
	}
}

// The kernel reports that a connection timed out once, to the first call that reads or writes.
func TestTheFirstErrorIsTheCause(t *testing.T) {
	timeout := &net.OpError{Op: "write", Err: os.NewSyscallError("write", syscall.ETIMEDOUT)}
	for _, c := range []struct {
		first, second error
		want          endCause
	}{
		{timeout, io.EOF, endSilent},
		{os.NewSyscallError("read", syscall.EHOSTUNREACH), io.EOF, endSilent},
		{io.EOF, timeout, endPeer},
		{os.ErrDeadlineExceeded, timeout, endSilent},
		{nil, os.NewSyscallError("read", syscall.ECONNRESET), endPeer},
	} {
		w := &watchedConn{}
		w.recordCause(c.first)
		w.recordCause(c.second)
		if got := endCause(w.cause.Load()); got != c.want {
			t.Errorf("%v, then %v: cause %d, want %d", c.first, c.second, got, c.want)
		}
	}
}

func TestDisconnectHasAnOwner(t *testing.T) {
	var got lease.Disconnect
	c := NewAgents(time.Now, observerFunc(func(d lease.Disconnect) { got = d }))
	conn := &watchedConn{Conn: fakeConn{}}
	ctx := access.WithCaller(c.ConnContext(t.Context(), conn), access.Caller{Token: "id-of-token"})
	r := httptest.NewRequest(http.MethodPost, "/", nil).WithContext(ctx)
	for _, sequence := range []int64{8, 7} { // one of them was overtaken
		c.Beat(c.Arrived(r, "a", 1), r, sequence, testPeriod)
	}
	c.ConnState(conn, http.StateClosed)
	if got.Run != "a" || got.Owner != "id-of-token" || got.Sequence != 8 {
		t.Errorf("%+v", got)
	}
}

type observerFunc func(lease.Disconnect)

func (f observerFunc) Disconnected(d lease.Disconnect) { f(d) }
func (observerFunc) Returned(string, int)              {}
