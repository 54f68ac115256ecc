package conns

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/job"
)

// Observer is notified of what the connections of agents say. Its methods must not block.
type Observer interface {
	// Disconnected says that the connection closed that carried an attempt's heartbeats,
	// and that its agent has no other one.
	Disconnected(lease.Disconnect)
	// Returned says that a request of the attempt arrived on a connection again.
	Returned(run string, attempt int)
}

// Agents knows which connections carry the requests of which attempt. When an agent
// is killed, its kernel closes them at once, long before the lease ends.
type Agents struct {
	now      func() time.Time
	observer Observer

	mu       sync.Mutex
	attempts map[attemptKey]*agentConns
}

type attemptKey struct {
	run     string
	attempt int
}

// agentConns are the open connections of the agent of one attempt.
type agentConns struct {
	open      []*Traffic
	forwarded bool // a request came through a proxy that says so
	// held is the end of the connection of its heartbeats while others are open; nil for none.
	held *lease.Disconnect
}

// Traffic is what one connection carried for one attempt.
type Traffic struct {
	key      attemptKey
	conn     *watchedConn
	owner    string // the token of its first request; empty for none
	requests int
	// Of the connection that the agent holds open for its heartbeats:
	kept     bool
	lastBeat time.Time     // before the first one: when the connection was first seen to be kept
	nextBeat time.Duration // how long after it the next one is due
	named    bool          // the last request named the agent's address
	direct   bool          // that is the address that arrives here
}

type connKey struct{}

// NewAgents watches the connections of agents for an observer.
func NewAgents(now func() time.Time, observer Observer) *Agents {
	return &Agents{now: now, observer: observer, attempts: map[attemptKey]*agentConns{}}
}

// ConnContext puts the connection where Arrived finds it (http.Server.ConnContext).
func (c *Agents) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, watchedConnOf(conn))
}

// Arrived notes an append or a heartbeat of a client that may write to the run, before it is
// committed: an agent that waits for a slow database has returned. It returns nil where
// connections are not watched.
func (c *Agents) Arrived(r *http.Request, run string, attempt int) *Traffic {
	conn := connOf(r)
	if conn == nil {
		return nil
	}
	conn.carries(access.CallerOf(r.Context()).Owner(), true)
	key := attemptKey{run, attempt}
	t, returned := c.count(conn, key, access.CallerOf(r.Context()).Token, access.IsForwarded(r.Header))
	if returned {
		c.observer.Returned(run, attempt)
	}
	return t
}

// count adds a request. returned reports that the attempt had no open connection.
func (c *Agents) count(conn *watchedConn, key attemptKey, owner string, forwarded bool) (t *Traffic, returned bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn.closed {
		return nil, false
	}
	a := c.attempts[key]
	if a == nil {
		a, returned = &agentConns{}, true
		c.attempts[key] = a
	}
	a.forwarded = a.forwarded || forwarded
	i := slices.IndexFunc(a.open, func(t *Traffic) bool { return t.conn == conn })
	if i < 0 { // what comes on an older connection may have been sent before the held one closed
		a.held = nil
		i = len(a.open)
		t := &Traffic{key: key, conn: conn, owner: owner}
		a.open, conn.carried = append(a.open, t), append(conn.carried, t)
	}
	a.open[i].requests++
	return a.open[i], returned
}

// Beat notes that a request is a heartbeat: its connection is the one that the agent
// holds. next is when the beat after it is to come.
func (c *Agents) Beat(t *Traffic, r *http.Request, next time.Duration) {
	if t == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(t, r)
	t.lastBeat, t.nextBeat = c.now(), next
}

// Append notes that a request is an append. One that names the agent's address came on the
// connection that the agent holds, perhaps before its first heartbeat.
func (c *Agents) Append(t *Traffic, r *http.Request) {
	if t == nil || r.Header.Get(job.HeaderLocalAddress) == "" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keep(t, r); t.lastBeat.IsZero() {
		t.lastBeat, t.nextBeat = c.now(), lease.DefaultPeriod
	}
}

// keep notes that the agent holds the connection of a request. The caller has the lock.
func (c *Agents) keep(t *Traffic, r *http.Request) {
	conn := t.conn
	if conn.closed {
		return
	}
	if conn.keptRun == "" {
		conn.keptRun = t.key.run
		conn.keepAlive()
	}
	conn.pooled = conn.pooled || conn.keptRun != t.key.run
	if a := c.attempts[t.key]; a != nil {
		a.held = nil
	}
	local := r.Header.Get(job.HeaderLocalAddress)
	t.kept, t.named, t.direct = true, local != "", sameAddress(local, r.RemoteAddr)
}

// sameAddress compares two ends of connections. A zone is a name that only its own host knows.
func sameAddress(a, b string) bool {
	x, err1 := netip.ParseAddrPort(a)
	y, err2 := netip.ParseAddrPort(b)
	return err1 == nil && err2 == nil && x.Port() == y.Port() &&
		x.Addr().Unmap().WithZone("") == y.Addr().Unmap().WithZone("")
}

// Forget ends the watch over an attempt, because it has ended.
func (c *Agents) Forget(run string, attempt int) {
	key := attemptKey{run, attempt}
	c.mu.Lock()
	defer c.mu.Unlock()
	a := c.attempts[key]
	if a == nil {
		return
	}
	delete(c.attempts, key)
	for _, t := range a.open {
		t.conn.carried = slices.DeleteFunc(t.conn.carried, func(other *Traffic) bool { return other == t })
	}
}

// ConnState is called at every change of a connection (http.Server.ConnState).
func (c *Agents) ConnState(conn net.Conn, state http.ConnState) {
	watched := watchedConnOf(conn)
	if watched != nil {
		watched.place.changed(state)
	}
	if watched == nil || state != http.StateClosed && state != http.StateHijacked {
		return
	}
	for _, d := range c.close(watched) {
		c.observer.Disconnected(d)
	}
}

// close forgets a connection and returns what its end says: of each attempt whose agent
// held it and has no other connection left.
func (c *Agents) close(conn *watchedConn) []lease.Disconnect {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	conn.closed = true
	var ends []lease.Disconnect
	for _, t := range conn.carried {
		a := c.attempts[t.key]
		a.open = slices.DeleteFunc(a.open, func(other *Traffic) bool { return other == t })
		if t.held() {
			a.held = t.end(a.forwarded, now)
		}
		if len(a.open) > 0 {
			continue
		}
		delete(c.attempts, t.key)
		if a.held != nil {
			a.held.At = now
			ends = append(ends, *a.held)
		}
	}
	conn.carried = nil
	return ends
}

// held reports whether the agent holds this connection open: two requests came on it, so
// that nothing between closes it after each, or nothing stands between. What carries
// heartbeats of several runs belongs to a proxy and says nothing of any agent.
func (t *Traffic) held() bool {
	return t.kept && (t.requests > 1 || t.direct) && !t.conn.pooled
}

// end is what the end of a held connection says. Where something stands between, a beat
// that is long overdue means that the connection may have been closed for being idle.
func (t *Traffic) end(forwarded bool, now time.Time) *lease.Disconnect {
	indirect := forwarded || !t.direct
	peer := endCause(t.conn.cause.Load()) == endPeer
	if indirect && now.Sub(t.lastBeat) > t.nextBeat+t.nextBeat/2 {
		peer = false
	}
	d := &lease.Disconnect{Run: t.key.run, Attempt: t.key.attempt, Owner: t.owner, At: now, Peer: peer, Indirect: indirect, Forwarded: forwarded}
	if !t.named {
		d.Due = t.lastBeat.Add(t.nextBeat)
	}
	return d
}
