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

// Observer is notified when connections of agents close and when agents return. Its methods must not
// block.
type Observer interface {
	// Disconnected is called when the connection of an attempt's heartbeats has closed and its agent
	// has no other open connection.
	Disconnected(lease.Disconnect)
	// Returned is called when a request arrives of an attempt that had no open connection.
	Returned(run string, attempt int)
}

// Agents tracks which connections carry the requests of which attempt. When an agent is killed, its
// kernel closes its connections at once, long before the lease ends.
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
	forwarded bool  // a request has the header of a proxy
	sequence  int64 // of the last heartbeat; 0 before the first
	// disconnect describes the end of the connection of its heartbeats, if it has closed while others
	// are open; else nil.
	disconnect *lease.Disconnect
}

// Traffic describes the requests of one attempt on one connection.
type Traffic struct {
	key      attemptKey
	conn     *watchedConn
	owner    string // the token of its first request; empty for none
	requests int
	// The agent keeps this connection open for its heartbeats:
	forHeartbeats bool
	lastBeat      time.Time     // before the first heartbeat: when forHeartbeats was set
	nextBeat      time.Duration // how long after lastBeat the next heartbeat is due
	namesAddress  bool          // the last request has the agent's own address in a header
	direct        bool          // that address is the one that this server sees
}

type connKey struct{}

// NewAgents returns an Agents that notifies an observer.
func NewAgents(now func() time.Time, observer Observer) *Agents {
	return &Agents{now: now, observer: observer, attempts: map[attemptKey]*agentConns{}}
}

// ConnContext adds a connection to the context of its requests. It is for http.Server.ConnContext.
func (c *Agents) ConnContext(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, watchedConnOf(conn))
}

// Arrived records an append or a heartbeat of a client that may write to the run. It is called before
// the commit, because an agent whose request waits for a slow database has returned. It returns nil
// for a request whose connection is not tracked.
func (c *Agents) Arrived(r *http.Request, run string, attempt int) *Traffic {
	conn := connOf(r)
	if conn == nil {
		return nil
	}
	conn.assign(access.CallerOf(r.Context()).Owner(), true)
	key := attemptKey{run, attempt}
	t, returned := c.count(conn, key, access.CallerOf(r.Context()).Token, access.IsForwarded(r.Header))
	if returned {
		c.observer.Returned(run, attempt)
	}
	return t
}

// count counts a request. returned reports whether the attempt had no open connection before.
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
	if i < 0 { // requests on older connections may have been sent before the other one closed
		a.disconnect = nil
		i = len(a.open)
		t := &Traffic{key: key, conn: conn, owner: owner}
		a.open, conn.carried = append(a.open, t), append(conn.carried, t)
	}
	a.open[i].requests++
	return a.open[i], returned
}

// Beat records that a request is a heartbeat, so that its connection is the one that the agent keeps
// open. sequence is its number, and next how long after it the next heartbeat is due.
func (c *Agents) Beat(t *Traffic, r *http.Request, sequence int64, next time.Duration) {
	if t == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(t, r)
	t.lastBeat, t.nextBeat = c.now(), next
	if a := c.attempts[t.key]; a != nil {
		a.sequence = max(a.sequence, sequence)
	}
}

// Append records that a request is an append. If it has the agent's own address, it came on the
// connection that the agent keeps open, perhaps before its first heartbeat.
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

// keep records that the agent keeps the connection of a request open. The caller holds mu.
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
		a.disconnect = nil
	}
	local := r.Header.Get(job.HeaderLocalAddress)
	t.forHeartbeats, t.namesAddress, t.direct = true, local != "", sameAddress(local, r.RemoteAddr)
}

// sameAddress reports whether two addresses with ports are the same. Zones are ignored, because they
// are names that only one host uses.
func sameAddress(a, b string) bool {
	x, err1 := netip.ParseAddrPort(a)
	y, err2 := netip.ParseAddrPort(b)
	return err1 == nil && err2 == nil && x.Port() == y.Port() &&
		x.Addr().Unmap().WithZone("") == y.Addr().Unmap().WithZone("")
}

// Forget stops tracking an attempt, because it has ended.
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

// ConnState handles a change of the state of a connection. It is for http.Server.ConnState.
func (c *Agents) ConnState(conn net.Conn, state http.ConnState) {
	watched := watchedConnOf(conn)
	if watched != nil {
		watched.place.setState(state)
	}
	if watched == nil || state != http.StateClosed && state != http.StateHijacked {
		return
	}
	for _, d := range c.close(watched) {
		c.observer.Disconnected(d)
	}
}

// close removes a connection, and returns a Disconnect for each attempt whose agent kept it open and has
// no other open connection.
func (c *Agents) close(conn *watchedConn) []lease.Disconnect {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := c.now()
	conn.closed = true
	var ends []lease.Disconnect
	for _, t := range conn.carried {
		a := c.attempts[t.key]
		a.open = slices.DeleteFunc(a.open, func(other *Traffic) bool { return other == t })
		if t.isEvidence() {
			a.disconnect = t.end(a.forwarded, now)
		}
		if len(a.open) > 0 {
			continue
		}
		delete(c.attempts, t.key)
		if a.disconnect != nil {
			a.disconnect.At, a.disconnect.Sequence = now, a.sequence
			ends = append(ends, *a.disconnect)
		}
	}
	conn.carried = nil
	return ends
}

// isEvidence reports whether the end of this connection is evidence about the agent: the agent keeps it
// open for heartbeats, and no proxy closes it after each request, because there is none or because the
// connection has carried two. A connection with heartbeats of several runs belongs to a proxy.
func (t *Traffic) isEvidence() bool {
	return t.forHeartbeats && (t.requests > 1 || t.direct) && !t.conn.pooled
}

// end returns the Disconnect for the end of the connection. If there may be a proxy and a heartbeat is
// long overdue, the proxy may have closed the connection because it was idle.
func (t *Traffic) end(forwarded bool, now time.Time) *lease.Disconnect {
	indirect := forwarded || !t.direct
	peer := endCause(t.conn.cause.Load()) == endPeer
	if indirect && now.Sub(t.lastBeat) > t.nextBeat+t.nextBeat/2 {
		peer = false
	}
	d := &lease.Disconnect{Every: t.nextBeat, Run: t.key.run, Attempt: t.key.attempt, Owner: t.owner, At: now, Peer: peer, Indirect: indirect, Forwarded: forwarded}
	if !t.namesAddress {
		d.Due = t.lastBeat.Add(t.nextBeat)
	}
	return d
}
