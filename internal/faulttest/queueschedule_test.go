package faulttest

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// queuePlan is a world of workers, and the runs that are submitted to it while the faults last.
type queuePlan struct {
	workers []workerPlan
	runs    []runPlan
	limit   int  // of the group
	second  bool // there is a second server on the same database
	plain   bool // the programs are as they are released
	copies  int  // of each definition, more than one if above 1
}

// workerPlan is one worker, on a host of its own: a state directory and a spool.
type workerPlan struct {
	slots  int
	routed bool // it reaches the server by the route of the schedule
	stint  bool // it is the program stint, not stint-agent
	local  bool // it runs definitions of its own disk only
}

// runPlan is a run that is submitted. Its first attempts, as many as fails, end with code, the others with 0.
type runPlan struct {
	at, lasts   time.Duration
	fails, code int
	grouped     bool
	copy        int // of the definition
	delay       time.Duration
	after       int    // the run that must end before it; -1 for none
	when        string // how that must end
	priority    job.Priority
}

func (p queuePlan) String() string {
	return fmt.Sprintf("second server %v, workers %+v, group limit %d, runs %+v", p.second, p.workers, p.limit, p.runs)
}

// The faults of the queue, besides those of the server and of the network.
const (
	workerKill    kind = "worker killed"
	workerUpgrade kind = "worker upgraded"
	workerPause   kind = "worker paused"
	allKill       kind = "server and workers killed"
	secondKill    kind = "second server killed"
	oneAgentKill  kind = "agent of a worker killed"
	oneAgentPause kind = "agent of a worker paused"
	hostKill      kind = "host killed"
	hostFrozen    kind = "host frozen"
	claimLost     kind = "replies of claims lost"
	claimLate     kind = "replies of claims delayed"
	claimTwice    kind = "claims sent twice"
	claimTooLate  kind = "claims arrive too late"
	permitLost    kind = "replies of permits lost"
	permitLate    kind = "replies of permits delayed"
	permitTwice   kind = "permits requested twice"
	permitTooLate kind = "requests for permits arrive too late"
	permitFrozen  kind = "agent frozen with its permit"
	flushBeside   kind = "spool flushed by another process"
	secondWorker  kind = "second worker in a state directory"
	sameName      kind = "second worker with a name"
	manyOrders    kind = "drain, cancel and retry together"
	limitLowered  kind = "group limit lowered"
	fileChanged   kind = "local definition changed"
	restoredCopy  kind = "database restored"
)

// queueRules are the faults of the schedules with a queue.
var queueRules = []rule{
	{serverKill, 8, 30 * ms, 2000 * ms, always},
	{serverStop, 4, 30 * ms, 1500 * ms, always},
	{serverPause, 5, 50 * ms, 3000 * ms, always},
	{secondKill, 8, 30 * ms, 2000 * ms, func(s schedule, _ abilities) bool { return s.queue.second }},
	{netCut, 6, 50 * ms, 12000 * ms, on(tcpRoute)},
	{netDelay, 3, 200 * ms, 3000 * ms, on(tcpRoute)},
	{netReset, 4, 100 * ms, 2000 * ms, on(tcpRoute)},
	{netHalfOpen, 6, 100 * ms, 10000 * ms, on(tcpRoute)},
	{netLimit, 4, 200 * ms, 2000 * ms, on(tcpRoute)},
	{replyLost, 6, 100 * ms, 2500 * ms, on(httpRoute)},
	{twice, 6, 200 * ms, 2500 * ms, on(httpRoute)},
	{tooLate, 6, 200 * ms, 2500 * ms, on(httpRoute)},
	{bodyCut, 4, 200 * ms, 2000 * ms, on(httpRoute)},
	{gateway, 4, 100 * ms, 2000 * ms, on(httpRoute)},
	{claimLost, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{claimLate, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{claimTwice, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{claimTooLate, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{permitLost, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{permitLate, 8, 200 * ms, 6000 * ms, on(httpRoute)},
	{permitTwice, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{permitTooLate, 8, 200 * ms, 3000 * ms, on(httpRoute)},
	{permitFrozen, 10, 500 * ms, 14000 * ms, on(httpRoute)},
	{workerKill, 10, 30 * ms, 2000 * ms, always},
	{workerUpgrade, 6, 0, 0, always},
	{workerPause, 5, 100 * ms, 5000 * ms, always},
	{allKill, 5, 30 * ms, 1500 * ms, always},
	{oneAgentKill, 14, 0, 0, always},
	{hostKill, 8, 100 * ms, 3000 * ms, always},
	{oneAgentPause, 6, 100 * ms, 14000 * ms, always},
	{hostFrozen, 12, 1000 * ms, 16000 * ms, func(s schedule, _ abilities) bool { return !s.has(hostFrozen) }},
	{flushBeside, 5, 200 * ms, 2500 * ms, always},
	{secondWorker, 3, 0, 0, always},
	{sameName, 3, 300 * ms, 2000 * ms, func(s schedule, _ abilities) bool { return !s.has(sameName) }},
	{manyOrders, 8, 100 * ms, 1500 * ms, always},
	{limitLowered, 5, 200 * ms, 1500 * ms, func(s schedule, _ abilities) bool { return !s.has(limitLowered) }},
	{fileChanged, 5, 200 * ms, 1500 * ms, func(s schedule, _ abilities) bool { return !s.has(fileChanged) && s.queue.workers[0].local }},
	{serverClock, 8, 100 * ms, 2500 * ms, func(s schedule, can abilities) bool { return can.clock && !s.has(serverClock) }},
	{postgresDown, 8, 50 * ms, 1200 * ms, func(s schedule, _ abilities) bool { return s.postgres && !s.has(postgresDown) }},
}

// restoredShare is of how many schedules with a queue one restores the database.
const restoredShare = 10

// withQueue reports whether the schedule of a seed is one with a queue.
func withQueue(seed uint64) bool { return seed%3 == 0 }

// generateQueue makes the schedule of a seed with a queue.
func generateQueue(seed uint64, can abilities) schedule {
	r := rand.New(rand.NewPCG(seed, 0x9eee))
	s := schedule{seed: seed, queue: &queuePlan{}}
	s.postgres = r.IntN(2) == 0 && can.postgres
	s.route = []route{direct, tcpRoute, httpRoute, httpRoute}[r.IntN(4)]
	for n := range 2 + r.IntN(2) {
		s.queue.workers = append(s.queue.workers, workerPlan{
			slots: 1 + r.IntN(3), routed: n == 0 || r.IntN(3) == 0, stint: r.IntN(4) == 0, local: n == 0 && r.IntN(4) == 0,
		})
	}
	s.queue.limit = 1 + r.IntN(2)
	s.queue.second = s.postgres && r.IntN(2) == 0
	for n := range 3 + r.IntN(5) {
		s.queue.runs = append(s.queue.runs, planRun(r, n))
	}
	s.job.during = 1200 * ms // in which the faults begin
	if r.IntN(restoredShare) == 0 {
		// Alone: what is cut off or frozen for longer than the server waits may run twice then.
		s.queue.second = false
		s.faults = []fault{{restoredCopy, time.Duration(200+r.IntN(1500)) * ms, time.Duration(200+r.IntN(3000)) * ms, r.IntN(1 << 20)}}
		return s
	}
	for range 1 + r.IntN(3) {
		s.faults = append(s.faults, drawFault(r, s, can, queueRules))
	}
	if s.has(serverClock) {
		for n := range s.queue.runs {
			s.queue.runs[n].delay = 0 // it ends at a time of the server's clock, which is a day away
		}
	}
	return s
}

func planRun(r *rand.Rand, n int) runPlan {
	p := runPlan{
		at: time.Duration(r.IntN(1200)) * ms, lasts: time.Duration(20+r.IntN(900)) * ms, code: 1 + r.IntN(100), grouped: r.IntN(3) == 0,
		after: -1, priority: []job.Priority{job.PriorityLow, job.PriorityNormal, job.PriorityHigh}[r.IntN(3)],
	}
	if r.IntN(3) == 0 {
		p.lasts += time.Duration(r.IntN(4000)) * ms
	}
	if r.IntN(3) == 0 {
		p.fails = 1 + r.IntN(retryLimit+1)
	}
	if r.IntN(6) == 0 {
		p.delay = time.Duration(100+r.IntN(1500)) * ms
	}
	if n > 0 && r.IntN(5) == 0 {
		p.after, p.when = r.IntN(n), []string{"ended", "succeeded"}[r.IntN(2)]
	}
	return p
}

// A seed always makes the same schedule with a queue, and all kinds of faults come up.
func TestGenerateQueue(t *testing.T) {
	seen := map[kind]int{}
	for seed := range uint64(2000) {
		s := generateQueue(seed, abilities{true, true, true, true})
		if again := generateQueue(seed, abilities{true, true, true, true}); !reflect.DeepEqual(s, again) {
			t.Fatalf("seed %d:\n%v\n%v", seed, s, again)
		}
		for _, f := range s.faults {
			seen[f.kind]++
		}
		if none := generateQueue(seed, abilities{}); none.has(postgresDown, serverClock) || none.postgres {
			t.Fatalf("a machine that can do nothing special: %v", none)
		}
	}
	for _, rule := range append(queueRules[:len(queueRules):len(queueRules)], rule{kind: restoredCopy}) {
		if seen[rule.kind] < 10 {
			t.Errorf("%q came up %d times in 2000 schedules", rule.kind, seen[rule.kind])
		}
	}
}
