package runs

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/server/route"
)

// fleetInterval is how long a response about the fleet is reused, because making it reads every active
// run.
const fleetInterval = 5 * time.Second

type (
	fleetAnswer struct {
		At         time.Time   `json:"at" doc:"When the agents and hosts were read: the response may be a few seconds younger."`
		Agents     int         `json:"agents" doc:"Active attempts."`
		Hosts      []fleetHost `json:"hosts" nullable:"false"`
		HostsTotal int         `json:"hosts_total" doc:"How many hosts have agents; the overview lists only those that use the most CPU."`
		Ingest     fleetIngest `json:"ingest"`
		LagSeconds float64     `json:"lag_seconds" doc:"How long the last commit of appends and heartbeats took."`
		Readers    int         `json:"readers" doc:"Live streams that are open on this server."`
	}
	fleetHost struct {
		Host            string     `json:"host"`
		Agents          int        `json:"agents"`
		CPUCores        float64    `json:"cpu_cores" doc:"Cores that the jobs on this host use, on average since the previous heartbeat."`
		MemoryBytes     int64      `json:"memory_bytes"`
		UnsentBytes     int64      `json:"unsent_bytes" doc:"Bytes of journals on the host that are not sent."`
		LastHeartbeatAt *time.Time `json:"last_heartbeat_at"`
	}
	fleetIngest struct {
		BytesPerSecond      float64 `json:"bytes_per_second" doc:"Journal bytes that this server received, since the previous response, or its start."`
		HeartbeatsPerSecond float64 `json:"heartbeats_per_second"`
	}
)

// fleet keeps the last response, to compute rates, and to reuse it for fleetInterval.
type fleet struct {
	mu     sync.Mutex
	at     time.Time // of the answer; of the server's start while there is none
	answer fleetAnswer
	agents map[string]agentRate
	bytes  uint64
	beats  uint64
}

// agentRate is how fast an attempt used CPU between two heartbeats.
type agentRate struct {
	at    time.Time
	cpu   float64 // seconds so far
	cores float64
}

// GetFleet responds with the load of agents, hosts and server.
func (s *Runs) GetFleet(ctx context.Context, _ *struct{}) (*route.Response[fleetAnswer], error) {
	out, err := s.readFleet(ctx)
	if err != nil {
		return nil, err
	}
	return route.OK(out)
}

// readFleet returns the response for the fleet, which may be the last one.
func (s *Runs) readFleet(ctx context.Context) (fleetAnswer, error) {
	f := &s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := s.Now()
	if age := now.Sub(f.at); f.agents == nil || age < 0 || age >= fleetInterval {
		agents, err := s.Store.LiveAgents(ctx)
		if err != nil {
			return fleetAnswer{}, s.ProblemOf(ctx, "read the fleet", err)
		}
		bytes, beats, _ := s.Ingest()
		f.update(now, agents, bytes, beats)
	}
	out := f.answer
	_, _, lag := s.Ingest()
	out.LagSeconds = lag.Seconds()
	out.Readers = s.Readers()
	return out, nil
}

// update makes a new response.
func (f *fleet) update(now time.Time, agents []lease.LiveAgent, bytes, beats uint64) {
	f.answer = fleetAnswer{At: now.UTC(), Agents: len(agents)}
	if seconds := now.Sub(f.at).Seconds(); seconds > 0 {
		f.answer.Ingest = fleetIngest{float64(bytes-f.bytes) / seconds, float64(beats-f.beats) / seconds}
	}
	before := f.agents
	f.at, f.bytes, f.beats, f.agents = now, bytes, beats, make(map[string]agentRate, len(agents))
	hosts := map[string]*fleetHost{}
	for _, a := range agents {
		h := hosts[a.Host]
		if h == nil {
			h = &fleetHost{Host: a.Host}
			hosts[a.Host] = h
		}
		h.Agents++
		if a.BeatAt.IsZero() {
			continue
		}
		rate := rateOf(a, before[a.Run])
		f.agents[a.Run] = rate
		h.CPUCores += rate.cores
		h.MemoryBytes += a.Beat.MemoryBytes
		h.UnsentBytes += a.Beat.UnsentBytes
		if h.LastHeartbeatAt == nil || a.BeatAt.After(*h.LastHeartbeatAt) {
			h.LastHeartbeatAt = &a.BeatAt
		}
	}
	f.answer.Hosts, f.answer.HostsTotal = make([]fleetHost, 0, len(hosts)), len(hosts)
	for _, h := range slices.SortedFunc(maps.Values(hosts), func(a, b *fleetHost) int {
		return cmp.Or(cmp.Compare(b.Agents, a.Agents), cmp.Compare(a.Host, b.Host))
	}) {
		f.answer.Hosts = append(f.answer.Hosts, *h)
	}
}

// rateOf returns the rate between the last heartbeat and the one before; without one before, the average
// since the agent started.
func rateOf(a lease.LiveAgent, before agentRate) agentRate {
	r := agentRate{at: a.BeatAt, cpu: a.Beat.CPUSeconds, cores: before.cores}
	switch since := a.BeatAt.Sub(before.at).Seconds(); {
	case before.at.IsZero():
		if up := float64(a.Beat.UptimeMS) / 1000; up > 0 {
			r.cores = r.cpu / up
		}
	case since > 0:
		r.cores = max(0, (r.cpu-before.cpu)/since)
	}
	return r
}
