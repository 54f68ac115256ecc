package server

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// conns remembers which connection carries the heartbeats of which attempt. When an agent
// is killed, its kernel closes the connection at once, long before the lease ends.
type conns struct {
	now  func() time.Time
	gone func(run string, attempt int)

	mu     sync.Mutex
	byConn map[net.Conn]map[attemptKey]*beatsOn
	latest map[attemptKey]net.Conn
}

type attemptKey struct {
	run     string
	attempt int
}

// beatsOn is what one connection carried for one attempt.
type beatsOn struct {
	count int
	last  time.Time
	next  time.Duration // when the beat after the last was to come
}

type connKey struct{}

func newConns(now func() time.Time, gone func(string, int)) *conns {
	return &conns{now: now, gone: gone, byConn: map[net.Conn]map[attemptKey]*beatsOn{}, latest: map[attemptKey]net.Conn{}}
}

// context puts the connection where heard finds it (http.Server.ConnContext).
func (c *conns) context(ctx context.Context, conn net.Conn) context.Context {
	c.mu.Lock()
	c.byConn[conn] = nil // known to be open
	c.mu.Unlock()
	return context.WithValue(ctx, connKey{}, conn)
}

// heard notes a heartbeat on the connection of a request.
func (c *conns) heard(ctx context.Context, run string, attempt int, next time.Duration) {
	conn, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return
	}
	key := attemptKey{run, attempt}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, open := c.byConn[conn]; !open {
		return
	}
	if before := c.latest[key]; before != nil && before != conn {
		delete(c.byConn[before], key)
	}
	c.latest[key] = conn
	if c.byConn[conn] == nil {
		c.byConn[conn] = map[attemptKey]*beatsOn{}
	}
	b := c.byConn[conn][key]
	if b == nil {
		b = &beatsOn{}
		c.byConn[conn][key] = b
	}
	b.count++
	b.last, b.next = c.now(), next
}

// forget ends the watch over an attempt, because it has ended.
func (c *conns) forget(run string, attempt int) {
	key := attemptKey{run, attempt}
	c.mu.Lock()
	defer c.mu.Unlock()
	if conn := c.latest[key]; conn != nil {
		delete(c.byConn[conn], key)
		delete(c.latest, key)
	}
}

// state is told of every change of a connection (http.Server.ConnState). A closed one is
// evidence only for attempts that held it: at least two beats came on it, it was the last
// they used, and the next beat was not yet long overdue, for then the connection may have
// been closed for being idle, and the lease says the rest.
func (c *conns) state(conn net.Conn, state http.ConnState) {
	if state != http.StateClosed && state != http.StateHijacked {
		return
	}
	var gone []attemptKey
	c.mu.Lock()
	now := c.now()
	for key, b := range c.byConn[conn] {
		if c.latest[key] == conn {
			delete(c.latest, key)
		}
		if b.count >= 2 && now.Sub(b.last) <= b.next+b.next/2 {
			gone = append(gone, key)
		}
	}
	delete(c.byConn, conn)
	c.mu.Unlock()
	for _, key := range gone {
		c.gone(key.run, key.attempt)
	}
}
