package faulttest

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/job"
)

const (
	// usualPeriod and usualLease are those of an agent without options (docs/leases.md).
	usualPeriod = 5 * time.Second
	usualLease  = 20 * time.Second
)

// direction is one in which packets cross a link.
type direction int

const (
	toServer direction = iota
	toAgent
)

func (d direction) String() string {
	return map[direction]string{toServer: "to the server", toAgent: "to the agent"}[d]
}

var bothWays = []direction{toServer, toAgent}

// pathCut is a cut of the path between one agent and the server.
type pathCut struct {
	after time.Duration // the agent's last heartbeat arrived
	long  time.Duration
	to    []direction // which packets are lost
}

// The path is cut at different places of the period. The worst is just before a heartbeat: the
// server has received nothing for a period already.
var pathCuts = []pathCut{
	{usualPeriod - 30*ms, usualLease, bothWays},
	{usualPeriod - 100*ms, 19 * time.Second, bothWays},
	{usualPeriod - 60*ms, 17400 * ms, bothWays},
	{usualPeriod - 30*ms, 14200 * ms, bothWays},
	{usualPeriod, usualLease, bothWays},
	{usualPeriod - 600*ms, usualLease, bothWays},
	{2500 * ms, usualLease, bothWays},
	{100 * ms, 18 * time.Second, bothWays},
	// The server receives the heartbeat, and that the agent gave up waiting for the reply.
	{usualPeriod - 60*ms, 8 * time.Second, []direction{toAgent}},
	{usualPeriod - 60*ms, 12 * time.Second, []direction{toAgent}},
	{usualPeriod - 60*ms, usualLease, []direction{toAgent}},
	{usualPeriod - 60*ms, 12 * time.Second, []direction{toServer}},
	{100 * ms, 16 * time.Second, []direction{toServer}},
}

// An agent whose path loses every packet, or each in one direction, for up to a lease is not
// called lost: it does not learn that the path is cut or open again, and TCP sends what was lost
// again later and later.
func TestNoCutOfALeaseLosesAnAgent(t *testing.T) {
	can, why := able()
	if !can.links {
		needed(t, "network namespaces: "+strings.Join(why, "; "))
	}
	f := &liveFleet{world: openWorld(t, "--insecure")}
	// Most of the others report, else the server would blame the network and call none lost.
	f.runs = startFleet(t, 3*len(pathCuts), "reporting", "http://"+strings.Replace(f.server.address, "0.0.0.0", "127.0.0.1", 1),
		func(start func() error) error { return start() })
	var all sync.WaitGroup
	for n, c := range pathCuts {
		l, err := makeLink(9100 + n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := l.close(); err != nil {
				t.Error(err)
			}
		})
		if err := l.knowNeighbors(); err != nil {
			t.Fatal(err)
		}
		f.startReal(n, l, at(l, f.server.address))
		run := f.runs[len(f.runs)-1]
		all.Go(func() { f.cutPath(run, l, c) })
	}
	all.Wait()
	f.waitHealthy("their paths were cut", patience)
	f.wantNoneLost()
}

// cutPath cuts the path of one agent and waits until it reports again.
func (f *liveFleet) cutPath(run string, l *link, c pathCut) {
	last := f.nextHeartbeat(run, time.Time{})
	last = f.nextHeartbeat(run, last) // the first two are not a period apart
	wait(f.t.Context(), time.Until(last.Add(c.after)))
	begun := time.Now()
	lose := func(all bool) {
		for _, to := range c.to {
			if err := l.lose(to, all); err != nil {
				f.t.Error(err)
			}
		}
	}
	lose(true)
	wait(f.t.Context(), time.Until(begun.Add(c.long)))
	lose(false)
	healed := time.Now()
	next := f.nextHeartbeat(run, healed.Add(-100*ms))
	fmt.Printf("cut: %s after a heartbeat, for %s, %v: reported again %s after it, %s after that heartbeat\n",
		c.after, healed.Sub(begun).Round(ms), c.to, next.Sub(healed).Round(ms), next.Sub(last).Round(ms))
}

// nextHeartbeat waits for a heartbeat of a run after a time, and returns when it arrived.
func (f *liveFleet) nextHeartbeat(run string, after time.Time) time.Time {
	for end := time.Now().Add(patience); time.Now().Before(end); wait(f.t.Context(), 50*ms) {
		r, err := f.api.Run(f.t.Context(), run)
		if err == nil && r.State == job.Running && r.LastHeartbeatAt != nil && r.LastHeartbeatAt.After(after) {
			return *r.LastHeartbeatAt
		}
	}
	f.t.Errorf("run %s: no heartbeat after %s", run, after)
	return time.Now()
}
