package transport

import (
	"context"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// lossyPath is a path that loses what is sent before a time, for good; what is sent later takes
// a time to connect.
type lossyPath struct {
	begun    time.Time
	open     time.Duration // since begun
	connects time.Duration
	names    bool // the name server is behind the path too, and its answer is not sent again
	tries    atomic.Int32
}

func (p *lossyPath) dial(ctx context.Context, _, address string) (net.Conn, error) {
	p.tries.Add(1)
	after := p.connects
	if time.Since(p.begun) < p.open || p.names && address == "stint.example:80" {
		after = time.Hour
	}
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
		return &reachedConn{}, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// reachedConn is a connection to an address.
type reachedConn struct{ net.Conn }

func (*reachedConn) Close() error         { return nil }
func (*reachedConn) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 80} }

// A connection is made within a second and the way of a packet after the path is open again,
// also where the name server is behind it; a slow path takes no longer than by itself.
func TestRedial(t *testing.T) {
	for name, c := range map[string]struct {
		path  *lossyPath
		known bool // it was connected before
		want  time.Duration
	}{
		"open":                         {&lossyPath{connects: 10 * time.Millisecond}, false, 10 * time.Millisecond},
		"slow":                         {&lossyPath{connects: 2900 * time.Millisecond}, false, 2900 * time.Millisecond},
		"open after a while":           {&lossyPath{open: 3100 * time.Millisecond, connects: 10 * time.Millisecond}, false, 4010 * time.Millisecond},
		"no answer for a known name":   {&lossyPath{open: 3100 * time.Millisecond, connects: 10 * time.Millisecond, names: true}, true, 4010 * time.Millisecond},
		"no answer for another name":   {&lossyPath{names: true}, false, dialTimeout},
		"never open":                   {&lossyPath{open: time.Hour}, true, dialTimeout},
		"slower than it is waited for": {&lossyPath{connects: dialTimeout + time.Second}, true, dialTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := c.path
				path.begun = time.Now()
				r := &redialer{dial: path.dial}
				if c.known {
					r.note("stint.example:80", &reachedConn{})
				}
				conn, err := r.DialContext(t.Context(), "tcp", "stint.example:80")
				if took := time.Since(path.begun); took != c.want {
					t.Errorf("it took %s, want %s", took, c.want)
				}
				if made := c.want < dialTimeout; made != (conn != nil) || !made && !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v, %v", conn, err)
				}
				if n, most := path.tries.Load(), int32(2*dialTimeout/redialEvery+1); n > most {
					t.Errorf("%d tries, want %d at most", n, most)
				}
			})
		})
	}
}

// A try that fails at once is not repeated: the caller knows when to try again.
func TestRedialFailsAtOnce(t *testing.T) {
	var tries atomic.Int32
	refused := errors.New("connection refused")
	r := &redialer{dial: func(context.Context, string, string) (net.Conn, error) { tries.Add(1); return nil, refused }}
	if conn, err := r.DialContext(t.Context(), "tcp", "10.0.0.1:80"); conn != nil || !errors.Is(err, refused) || tries.Load() != 1 {
		t.Errorf("%v, %v after %d tries", conn, err, tries.Load())
	}
}
