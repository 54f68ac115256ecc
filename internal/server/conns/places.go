package conns

import (
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/shares"
)

// Limits of connections.
const (
	// connSilence is after how long without a byte an idle connection makes room for others.
	connSilence = 2 * time.Second
	// strangerIdle is how long a connection may be idle that carried nothing of an agent.
	strangerIdle = 30 * time.Second
	// connReserve are descriptors that connections leave to the store, beside a fifth of all.
	connReserve = 32
	leastConns  = 64
)

// Limit returns how many connections a process may have that may have so many open files.
func Limit() int64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return leastConns
	}
	const most = 1 << 20 // also where the system knows no limit
	return max(leastConns, int64(min(files.Cur, most))*8/10-connReserve)
}

// IdleTime is how long a held heartbeat connection may be idle between beats.
const IdleTime = lease.MaxPeriod + time.Minute

// Places divides the connections that are open at once among tokens and addresses.
type Places struct {
	open    *shares.Shares
	log     *slog.Logger
	refused func()
}

// NewPlaces makes places for so many connections. refused is called for each that finds none.
func NewPlaces(all int64, log *slog.Logger, refused func()) *Places {
	return &Places{newConnShares(all), log, refused}
}

// Used returns how many connections are open.
func (p *Places) Used() int64 { return p.open.Used() }

// Listen returns a listener that accepts a connection only when there is a place for it.
func (p *Places) Listen(l net.Listener) net.Listener { return watchedListener{l, p.admit} }

// newConnShares divides a number of connections.
func newConnShares(all int64) *shares.Shares {
	return shares.New(shares.Limits{All: all, Token: all / 2, Address: all / 2, Silence: connSilence}, time.Now)
}

// connPlace is the place of a connection among all.
type connPlace struct {
	place *shares.Place
	agent atomic.Bool // it carried an append or a heartbeat
	idle  atomic.Bool // between two requests
}

// admit finds a place for a new connection; nil when there is none, and the connection is closed.
func (p *Places) admit(c *watchedConn) bool {
	var err error
	for range 2 { // the first may close another one that was silent
		c.place.place, err = p.open.Enter(shares.Owner{Address: addressOfConn(c.RemoteAddr())}, 1, c.drop)
		if err == nil {
			return true
		}
	}
	p.refused()
	var full *shares.FullError
	p.log.Debug("connection refused", "from", c.RemoteAddr(), "own", errors.As(err, &full) && full.Own, "error", err)
	_ = c.Conn.Close() // nothing was sent on it
	return false
}

// addressOfConn is the address whose share a connection uses before it brings a token.
func addressOfConn(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.String()
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	return networkOf(ip).String()
}

// drop closes an idle connection to make room.
func (c *watchedConn) drop() {
	_ = c.Conn.Close() // net/http sees that, and ends it
	c.place.place.Leave()
}

// Close gives the place back.
func (c *watchedConn) Close() error {
	c.place.place.Leave()
	return c.Conn.Close()
}

// SetReadDeadline shortens the time that net/http gives an idle connection, unless an agent
// holds it: that one is idle between heartbeats.
func (c *watchedConn) SetReadDeadline(t time.Time) error {
	if until := time.Now().Add(strangerIdle); c.place.idle.Load() && !c.place.agent.Load() && t.After(until) {
		t = until
	}
	return c.Conn.SetReadDeadline(t)
}

// changed follows what net/http does with a connection. From the last byte of a request to that
// of its answer it is kept, and one that an agent holds always.
func (p *connPlace) changed(state http.ConnState) {
	p.idle.Store(state == http.StateIdle)
	if state == http.StateIdle && p.place != nil {
		p.place.Keep(p.agent.Load())
	}
}

// Serves notes that the whole of a request has come.
func Serves(r *http.Request) { connOf(r).serves() }

// Carries counts the connection of a request for who sent it.
func Carries(r *http.Request, o shares.Owner) { connOf(r).carries(o, false) }

// serves notes that a whole request has come.
func (c *watchedConn) serves() {
	if c != nil && c.place.place != nil {
		c.place.place.Keep(true)
	}
}

// carries counts the connection of a request for who sent it, and keeps one of an agent.
func (c *watchedConn) carries(o shares.Owner, agent bool) {
	if c == nil || c.place.place == nil {
		return
	}
	if o.Token != "" {
		c.place.place.Move(o)
	}
	if agent {
		c.place.agent.Store(true)
	}
}

// connOf is the connection of a request; nil in tests without one.
func connOf(r *http.Request) *watchedConn {
	conn, _ := r.Context().Value(connKey{}).(*watchedConn)
	return conn
}
