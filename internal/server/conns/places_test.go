package conns

import (
	"net"
	"net/http"
	"testing"
	"time"

	"stint.dev/stint/internal/shares"
)

// deadlined is a connection that remembers its deadline.
type deadlined struct {
	net.Conn
	until time.Time
}

func (d *deadlined) SetReadDeadline(t time.Time) error { d.until = t; return nil }

// A connection that carried nothing of an agent may be idle for a short time only.
func TestStrangersMayNotBeIdleForLong(t *testing.T) {
	s := newConnShares(10)
	place, err := s.Enter(shares.Owner{Address: "x"}, 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	inner := &deadlined{}
	c := &watchedConn{Conn: inner, place: connPlace{place: place}}
	allowed := func() time.Duration {
		_ = c.SetReadDeadline(time.Now().Add(IdleTimeout))
		return time.Until(inner.until)
	}
	c.place.setState(http.StateActive)
	if got := allowed(); got < IdleTimeout-time.Minute {
		t.Errorf("in a request it may take %s", got)
	}
	c.place.setState(http.StateIdle)
	if got := allowed(); got > clientIdleTimeout {
		t.Errorf("idle it may take %s", got)
	}
	_ = c.SetReadDeadline(time.Time{})
	if !inner.until.IsZero() {
		t.Error("no deadline became one")
	}
	c.assign(shares.Owner{Token: "t"}, true)
	if got := allowed(); got < IdleTimeout-time.Minute {
		t.Errorf("an agent's may be idle for %s", got)
	}
}

func TestConnectionLimitLeavesFilesToTheStore(t *testing.T) {
	if n := Limit(); n < minConns || n > 1<<20 {
		t.Errorf("%d connections", n)
	}
}
