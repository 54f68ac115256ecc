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
	// idleLimit is how long a connection may be idle before it may be closed for another one.
	idleLimit = 2 * time.Second
	// clientIdleTimeout is how long a connection may be idle that no agent has used.
	clientIdleTimeout = 30 * time.Second
	// connReserve is how many descriptors are left to the store, besides a fifth of all.
	connReserve = 32
	minConns    = 64
)

// Limit returns how many connections this process may have, from its limit of open files.
func Limit() int64 {
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return minConns
	}
	const limit = 1 << 20 // also if the system has no limit
	return max(minConns, int64(min(files.Cur, limit))*8/10-connReserve)
}

// IdleTimeout is how long a connection may be idle between two heartbeats.
const IdleTimeout = lease.MaxPeriod + time.Minute

// Places limits how many connections are open at once, and divides them among tokens and addresses.
type Places struct {
	open    *shares.Shares
	log     *slog.Logger
	refused func()
}

// NewPlaces returns Places for a number of connections. refused is called for each connection for which
// there is no place.
func NewPlaces(all int64, log *slog.Logger, refused func()) *Places {
	return &Places{newConnShares(all), log, refused}
}

// Used returns how many connections are open.
func (p *Places) Used() int64 { return p.open.Used() }

// Listen returns a listener that closes connections for which there is no place.
func (p *Places) Listen(l net.Listener) net.Listener { return watchedListener{l, p.admit} }

// newConnShares returns the shares of a number of connections.
func newConnShares(all int64) *shares.Shares {
	return shares.New(shares.Limits{All: all, Token: all / 2, Address: all / 2, Silence: idleLimit}, time.Now)
}

// connPlace is the place of a connection.
type connPlace struct {
	place *shares.Place
	agent atomic.Bool // it has carried an append or a heartbeat
	idle  atomic.Bool // it is between two requests
}

// admit takes a place for a new connection. If there is none, it closes the connection and returns
// false.
func (p *Places) admit(c *watchedConn) bool {
	var err error
	for range 2 { // the first try may close an idle connection
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

// addressOfConn returns the address whose share a connection uses before its first request.
func addressOfConn(addr net.Addr) string {
	tcp, ok := addr.(*net.TCPAddr)
	if !ok {
		return addr.String()
	}
	ip, _ := netip.AddrFromSlice(tcp.IP)
	return networkOf(ip).String()
}

// drop closes an idle connection for another one.
func (c *watchedConn) drop() {
	_ = c.Conn.Close() // net/http detects that and calls Close
	c.place.place.Leave()
}

// Close closes the connection and releases its place.
func (c *watchedConn) Close() error {
	c.place.place.Leave()
	return c.Conn.Close()
}

// SetReadDeadline shortens the deadline that net/http sets for an idle connection to clientIdleTimeout,
// unless an agent has used it, which is idle between heartbeats.
func (c *watchedConn) SetReadDeadline(t time.Time) error {
	if until := time.Now().Add(clientIdleTimeout); c.place.idle.Load() && !c.place.agent.Load() && t.After(until) {
		t = until
	}
	return c.Conn.SetReadDeadline(t)
}

// setState records the state of a connection. It may be closed for another one only while it is idle
// and no agent has used it.
func (p *connPlace) setState(state http.ConnState) {
	p.idle.Store(state == http.StateIdle)
	if state == http.StateIdle && p.place != nil {
		p.place.Protect(p.agent.Load())
	}
}

// KeepOpen protects the connection of a request from being closed for another one.
func KeepOpen(r *http.Request) {
	if c := connOf(r); c != nil && c.place.place != nil {
		c.place.place.Protect(true)
	}
}

// Assign counts the connection of a request for the owner that sent it.
func Assign(r *http.Request, o shares.Owner) { connOf(r).assign(o, false) }

// assign counts the connection for an owner. agent reports whether an agent uses it.
func (c *watchedConn) assign(o shares.Owner, agent bool) {
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

// connOf returns the connection of a request; nil if Places did not accept it, as in tests.
func connOf(r *http.Request) *watchedConn {
	conn, _ := r.Context().Value(connKey{}).(*watchedConn)
	return conn
}
