package server

import (
	"context"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"
)

func TestLeaseFor(t *testing.T) {
	tests := []struct {
		ms     int64
		period time.Duration
		lease  time.Duration
	}{
		{0, 5 * time.Second, 15 * time.Second},
		{-5, 5 * time.Second, 15 * time.Second},
		{1, time.Second, 10 * time.Second},
		{1000, time.Second, 10 * time.Second},
		{4000, 4 * time.Second, 12 * time.Second},
		{60_000, time.Minute, 3 * time.Minute},
		{1 << 62, 5 * time.Minute, 15 * time.Minute},
	}
	for _, tt := range tests {
		if p := periodOf(tt.ms); p != tt.period || LeaseFor(p) != tt.lease {
			t.Errorf("period_ms %d: period %s, lease %s; want %s, %s", tt.ms, p, LeaseFor(p), tt.period, tt.lease)
		}
	}
}

// A fleet that would beat five times too often settles at the target and stays there.
func TestPacerSettles(t *testing.T) {
	p := newPacer(100)
	const agents, period = 500, time.Second
	now := time.Unix(0, 0)
	due := make([]time.Time, agents)
	for i := range due {
		due[i] = now.Add(time.Duration(i) * period / agents)
	}
	beats := 0
	end := now.Add(3 * time.Minute)
	for step := now; step.Before(end); step = step.Add(10 * time.Millisecond) {
		for i := range due {
			if !due[i].After(step) {
				due[i] = step.Add(p.next(step, period))
				if step.After(now.Add(time.Minute)) {
					beats++
				}
			}
		}
	}
	if rate := float64(beats) / 120; rate < 70 || rate > 130 {
		t.Errorf("%.0f beats per second, want about 100", rate)
	}
	// A small fleet is left alone.
	calm := newPacer(100)
	for i := range 1000 {
		if got := calm.next(now.Add(time.Duration(i)*time.Second), period); got != period {
			t.Fatalf("beat %d: next after %s", i, got)
		}
	}
}

// fakeConn is a connection's identity.
type fakeConn struct{ net.Conn }

func TestConnectionsAsEvidence(t *testing.T) {
	const next = 5 * time.Second
	type beat struct {
		conn  int
		run   string
		after time.Duration
	}
	tests := []struct {
		name  string
		beats []beat
		end   string // a run whose end is known
		wait  time.Duration
		close int
		gone  []string
	}{
		{"held", []beat{{0, "a", 0}, {0, "a", next}}, "", time.Second, 0, []string{"a"}},
		{"one beat only", []beat{{0, "a", 0}}, "", time.Second, 0, nil},
		{"each on its own connection", []beat{{0, "a", 0}, {1, "a", next}}, "", 0, 1, nil},
		{"moved to another", []beat{{0, "a", 0}, {0, "a", next}, {1, "a", next}}, "", 0, 0, nil},
		{"ended", []beat{{0, "a", 0}, {0, "a", next}}, "a", 0, 0, nil},
		{"idle for long", []beat{{0, "a", 0}, {0, "a", next}}, "", 2 * next, 0, nil},
		{"two runs on one", []beat{{0, "a", 0}, {0, "b", 0}, {0, "a", next}, {0, "b", 0}}, "", 0, 0, []string{"a", "b"}},
		{"another closed", []beat{{0, "a", 0}, {0, "a", next}}, "", 0, 1, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Unix(1000, 0)
			var gone []string
			c := newConns(func() time.Time { return now }, func(run string, _ int) { gone = append(gone, run) })
			conns := []net.Conn{&fakeConn{}, &fakeConn{&net.TCPConn{}}}
			ctxs := make([]context.Context, len(conns))
			for i, conn := range conns {
				ctxs[i] = c.context(t.Context(), conn)
			}
			for _, b := range tt.beats {
				now = now.Add(b.after)
				c.heard(ctxs[b.conn], b.run, 1, next)
			}
			if tt.end != "" {
				c.forget(tt.end, 1)
			}
			now = now.Add(tt.wait)
			c.state(conns[tt.close], http.StateClosed)
			slices.Sort(gone)
			if !slices.Equal(gone, tt.gone) {
				t.Errorf("gone: %v, want %v", gone, tt.gone)
			}
			for i := range conns {
				c.state(conns[i], http.StateClosed)
				c.heard(ctxs[i], "late", 1, next) // a beat that was in hand when its connection closed
			}
			if len(c.byConn)+len(c.latest) != 0 {
				t.Errorf("left behind: %v, %v", c.byConn, c.latest)
			}
		})
	}
}
