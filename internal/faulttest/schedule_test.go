package faulttest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// schedule is one story: a job, a place to keep what it says, and what goes wrong and when.
// It is a function of its seed and of the kinds of faults that this machine can make.
type schedule struct {
	seed     uint64
	postgres bool
	route    route // between agent and server
	job      jobPlan
	faults   []fault
	smallDisk,
	bucket, // the server's archive is a bucket
	follow bool // a reader follows the run live
	queue *queuePlan // nil for one job that somebody starts
}

// jobPlan is what the job does.
type jobPlan struct {
	stdout, stderr int // bytes
	during         time.Duration
	code           int
	install        bool // an install step prints and ends before it
	quiet          bool // the agent does not pass the output on
	spoolLimit     int64
}

// fault is one thing that goes wrong, from a time after the agent's start on and for a time.
type fault struct {
	kind kind
	at   time.Duration
	last time.Duration
	n    int // what the kind makes of it
}

func (f fault) String() string {
	return fmt.Sprintf("%s at %s for %s (%d)", f.kind, f.at, f.last, f.n)
}

func (s schedule) String() string {
	var faults []string
	for _, f := range s.faults {
		faults = append(faults, f.String())
	}
	db := "SQLite"
	if s.postgres {
		db = "PostgreSQL"
	}
	if s.queue != nil {
		return fmt.Sprintf("seed %d: %s, route %s, %s; %s", s.seed, db, s.route, s.queue, strings.Join(faults, "; "))
	}
	return fmt.Sprintf("seed %d: %s, route %s, job %+v, small disk %v, bucket %v, follow %v; %s",
		s.seed, db, s.route, s.job, s.smallDisk, s.bucket, s.follow, strings.Join(faults, "; "))
}

func (s schedule) has(kinds ...kind) bool {
	return slices.ContainsFunc(s.faults, func(f fault) bool { return slices.Contains(kinds, f.kind) })
}

// route is how the agent reaches the server.
type route string

const (
	direct    route = "direct"
	tcpRoute  route = "toxiproxy"
	httpRoute route = "HTTP proxy"
	linkRoute route = "network namespace" // and toxiproxy
)

type kind string

const (
	agentKill    kind = "agent killed"
	serverKill   kind = "server killed"
	bothKill     kind = "agent and server killed"
	serverStop   kind = "server stopped in order"
	agentPause   kind = "agent paused"
	serverPause  kind = "server paused"
	netCut       kind = "network cut"
	netDelay     kind = "network delayed"
	netReset     kind = "connections reset"
	netHalfOpen  kind = "network half open"
	netSlow      kind = "network slow"
	netLimit     kind = "connections cut after some bytes"
	netSlices    kind = "network in slices"
	linkDown     kind = "link down"
	replyLost    kind = "replies lost"
	twice        kind = "requests sent twice"
	tooLate      kind = "requests arrive too late"
	bodyCut      kind = "bodies cut"
	gateway      kind = "gateway errors"
	agentFull    kind = "agent's disk full"
	spoolRemoved kind = "spool removed"
	serverFull   kind = "server's disk full"
	agentClock   kind = "agent's clock set"
	serverClock  kind = "server's clock set"
	postgresDown kind = "PostgreSQL restarted"

	bucketHangs   kind = "bucket hangs"
	blockDamaged  kind = "stored block damaged"
	badHeartbeats kind = "bad heartbeats of another agent"
)

// abilities are what this machine lets us do.
type abilities struct {
	postgres, disks, links, clock bool
}

// rule says when a kind is possible, and for how long it lasts.
type rule struct {
	kind        kind
	weight      int
	least, most time.Duration
	possible    func(s schedule, can abilities) bool
}

func always(schedule, abilities) bool { return true }

func on(routes ...route) func(schedule, abilities) bool {
	return func(s schedule, _ abilities) bool { return slices.Contains(routes, s.route) }
}

const ms = time.Millisecond

var rules = []rule{
	{agentKill, 6, 0, 0, func(s schedule, _ abilities) bool { return !s.has(agentKill, bothKill, spoolRemoved) }},
	{serverKill, 8, 30 * ms, 1500 * ms, always},
	{bothKill, 3, 30 * ms, 1000 * ms, func(s schedule, _ abilities) bool { return !s.has(agentKill, bothKill, spoolRemoved) }},
	{serverStop, 3, 30 * ms, 800 * ms, always},
	{agentPause, 5, 50 * ms, 2500 * ms, always},
	{serverPause, 5, 50 * ms, 4000 * ms, always},
	{netCut, 5, 50 * ms, 2000 * ms, on(tcpRoute, linkRoute)},
	{netDelay, 4, 200 * ms, 2000 * ms, on(tcpRoute, linkRoute)},
	{netReset, 4, 100 * ms, 1500 * ms, on(tcpRoute, linkRoute)},
	{netHalfOpen, 5, 100 * ms, 2500 * ms, on(tcpRoute, linkRoute)},
	{netSlow, 4, 200 * ms, 2500 * ms, on(tcpRoute, linkRoute)},
	{netLimit, 5, 200 * ms, 2000 * ms, on(tcpRoute, linkRoute)},
	{netSlices, 2, 200 * ms, 1500 * ms, on(tcpRoute, linkRoute)},
	{linkDown, 12, 100 * ms, 2500 * ms, on(linkRoute)},
	{replyLost, 10, 100 * ms, 2500 * ms, on(httpRoute)},
	{twice, 8, 200 * ms, 2500 * ms, on(httpRoute)},
	{tooLate, 10, 200 * ms, 2500 * ms, on(httpRoute)},
	{bodyCut, 8, 200 * ms, 2000 * ms, on(httpRoute)},
	{gateway, 6, 100 * ms, 2000 * ms, on(httpRoute)},
	{agentFull, 4, 100 * ms, 3000 * ms, func(s schedule, can abilities) bool { return can.disks && !s.has(spoolRemoved) }},
	{spoolRemoved, 1, 0, 0, func(s schedule, _ abilities) bool { return !s.has(agentKill, bothKill, agentFull) && !s.smallDisk }},
	{serverFull, 5, 100 * ms, 2500 * ms, func(s schedule, can abilities) bool { return can.disks && !s.postgres }},
	{agentClock, 4, 100 * ms, 2500 * ms, func(s schedule, can abilities) bool { return can.clock && !s.has(agentClock) }},
	{serverClock, 6, 100 * ms, 2500 * ms, func(s schedule, can abilities) bool { return can.clock && !s.has(serverClock) }},
	{bucketHangs, 40, 500 * ms, 4000 * ms, func(s schedule, _ abilities) bool { return s.bucket && !s.has(bucketHangs, blockDamaged) }},
	{blockDamaged, 8, 100 * ms, 1500 * ms, func(s schedule, _ abilities) bool {
		return (s.bucket || !s.postgres) && !s.has(bucketHangs, blockDamaged)
	}},
	{badHeartbeats, 8, 200 * ms, 2500 * ms, func(s schedule, _ abilities) bool { return !s.has(badHeartbeats) }},
	{postgresDown, 10, 50 * ms, 1200 * ms, func(s schedule, _ abilities) bool { return s.postgres && !s.has(postgresDown) }},
}

// generate makes the schedule of a seed.
func generate(seed uint64, can abilities) schedule {
	r := rand.New(rand.NewPCG(seed, 0x5717))
	s := schedule{seed: seed}
	s.postgres = r.IntN(3) == 0 && can.postgres
	s.route = []route{direct, tcpRoute, tcpRoute, httpRoute, httpRoute, linkRoute}[r.IntN(6)]
	if s.route == linkRoute && !can.links {
		s.route = tcpRoute
	}
	s.job = planJob(r)
	s.smallDisk = r.IntN(12) == 0 && can.disks
	s.bucket = r.IntN(6) == 0
	s.follow = r.IntN(4) == 0
	for range 1 + r.IntN(3) {
		s.faults = append(s.faults, drawFault(r, s, can, rules))
	}
	return s
}

func planJob(r *rand.Rand) jobPlan {
	size := 10_000 + r.IntN(200_000)
	switch r.IntN(20) {
	case 0, 1, 2, 3, 4:
		size = 500_000 + r.IntN(4_000_000)
	case 5:
		size = 8_000_000 + r.IntN(16_000_000)
	case 6:
		size = r.IntN(200)
	}
	p := jobPlan{
		stdout: r.IntN(size + 1), during: time.Duration(400+r.IntN(1400)) * ms,
		code: r.IntN(4) * r.IntN(30), install: r.IntN(6) == 0, quiet: r.IntN(4) == 0,
	}
	p.stderr = size - p.stdout
	if r.IntN(10) == 0 { // so much that it outgrows its spool whenever the server is away
		p.spoolLimit = int64(1<<20 + r.IntN(4<<20))
		p.stdout, p.stderr = r.IntN(20<<20), r.IntN(20<<20)
	}
	return p
}

func drawFault(r *rand.Rand, s schedule, can abilities, rules []rule) fault {
	total := 0
	for _, rule := range rules {
		if rule.possible(s, can) {
			total += rule.weight
		}
	}
	at := time.Duration(r.Int64N(int64(s.job.during + 300*ms)))
	if r.IntN(10) == 0 {
		at = 0
	}
	pick := r.IntN(total)
	for _, rule := range rules {
		if !rule.possible(s, can) {
			continue
		}
		if pick -= rule.weight; pick < 0 {
			last := rule.least
			if rule.most > rule.least {
				// Short ones more often than long ones.
				last += time.Duration(float64(rule.most-rule.least) * r.Float64() * r.Float64())
			}
			return fault{rule.kind, at.Round(ms), last.Round(ms), r.IntN(1 << 20)}
		}
	}
	panic("no kind of fault is possible")
}

// A seed always makes the same schedule, and all kinds of faults come up.
func TestGenerate(t *testing.T) {
	all := abilities{true, true, true, true}
	seen := map[kind]int{}
	for seed := range uint64(2000) {
		s := generate(seed, all)
		if again := generate(seed, all); !reflect.DeepEqual(s, again) {
			t.Fatalf("seed %d:\n%v\n%v", seed, s, again)
		}
		for _, f := range s.faults {
			seen[f.kind]++
		}
		if none := generate(seed, abilities{}); none.has(serverFull, agentFull, linkDown, postgresDown, agentClock) || none.postgres {
			t.Fatalf("a machine that can do nothing special: %v", none)
		}
	}
	for _, rule := range rules {
		if seen[rule.kind] < 10 {
			t.Errorf("%q came up %d times in 2000 schedules", rule.kind, seen[rule.kind])
		}
	}
}
