package faulttest

// A worker that died is missed for half a minute, and an attempt for longer: too long for a schedule. The
// programs are built once more with a clock of leases, claims and pauses that runs about five times as fast;
// nothing else of them differs.
var swift = []shorter{
	{"internal/lease/period.go", "DefaultPeriod = 5 * time.Second", "DefaultPeriod = time.Second"},
	{"internal/lease/period.go", "minOutageLimit = 15 * time.Second", "minOutageLimit = 3 * time.Second"},
	{"internal/lease/period.go", "returnTimeout  = 5 * time.Second", "returnTimeout  = time.Second"},
	{"internal/health/rules/judge.go", "DefaultPeriod = 5 * time.Second", "DefaultPeriod = time.Second"},
	{"internal/health/rules/judge.go", "HoldLimit = 5 * time.Minute", "HoldLimit = 5 * time.Second"},
	{"internal/health/rules/judge.go", "GraceAfter = time.Minute", "GraceAfter = 5 * time.Second"},
	{"internal/health/silence.go", "HoldAfter = 30 * time.Second", "HoldAfter = 3 * time.Second"},
	{"internal/health/outages.go", "HungAfter = 10 * time.Second", "HungAfter = 2 * time.Second"},
	{"internal/health/outages.go", "TakeoverGraceAfter = 15 * time.Second", "TakeoverGraceAfter = 3 * time.Second"},
	{"internal/queue/poll.go", "ClaimTime = 15 * time.Second", "ClaimTime = 3 * time.Second"},
	{"internal/queue/poll.go", "workerGrace = 30 * time.Second", "workerGrace = 5 * time.Second"},
	{"internal/queue/poll.go", "withheldTime  = 10 * time.Minute", "withheldTime  = 3 * time.Second"},
	{"internal/store/claims/workers.go", "arriveInterval = 5 * time.Second", "arriveInterval = time.Second"},
	{"internal/worker/agents.go", "unknownLimit = 20 * time.Second", "unknownLimit = 4 * time.Second"},
	{"internal/worker/ask.go", "longWait  = 20 * time.Second", "longWait  = 4 * time.Second"},
	{"internal/worker/ask.go", "shortWait = 5 * time.Second", "shortWait = time.Second"},
	{"internal/worker/ask.go", "longestPause = 10 * time.Second", "longestPause = time.Second"},
	{"internal/worker/ask.go", "refusedPause = 10 * time.Second", "refusedPause = time.Second"},
	{"internal/worker/ask.go", "releaseLimit = 15 * time.Second", "releaseLimit = 3 * time.Second"},
	{"internal/worker/flush.go", "outagePause     = 2 * time.Second", "outagePause     = 300 * time.Millisecond"},
	{"internal/worker/flush.go", "longOutagePause = time.Minute", "longOutagePause = 2 * time.Second"},
	{"internal/worker/flush.go", "quietPause      = 10 * time.Minute", "quietPause      = 2 * time.Second"},
	{"internal/worker/flush.go", "leftPause = 2 * time.Second", "leftPause = 400 * time.Millisecond"},
	{"client/workers.go", "claimGrace = 10 * time.Second", "claimGrace = 2 * time.Second"},
	{"internal/agent/permit/permit.go", "tryTimeout = 5 * time.Second", "tryTimeout = time.Second"},
	{"internal/agent/permit/permit.go", "confirmLimit = 15 * time.Second", "confirmLimit = 3 * time.Second"},
	{"internal/agent/delivery/heartbeats.go", "beatTimeout   = 6 * time.Second", "beatTimeout   = 1200 * time.Millisecond"},
	{"internal/agent/delivery/heartbeats.go", "repeatTimeout = 4 * time.Second", "repeatTimeout = 800 * time.Millisecond"},
	{"internal/agent/delivery/heartbeats.go", "firstLeaseLimit = 15 * time.Second", "firstLeaseLimit = 3 * time.Second"},
	{"internal/agent/delivery/delivery.go", "AppendTimeout = 60 * time.Second", "AppendTimeout = 5 * time.Second"},
	{"internal/agent/config.go", "c.StopGrace = 10 * time.Second", "c.StopGrace = 2 * time.Second"},
	{"internal/agent/config.go", "c.FlushTimeout = 30 * time.Second", "c.FlushTimeout = 5 * time.Second"},
}
