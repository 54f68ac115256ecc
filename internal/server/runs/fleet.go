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

// fleetEvery is how long an answer about the fleet is good for: it reads every active run.
const fleetEvery = 5 * time.Second

type (
	fleetAnswer struct {
		Agents     int         `json:"agents" doc:"Active attempts."`
		Hosts      []fleetHost `json:"hosts" nullable:"false"`
		HostsTotal int         `json:"hosts_total" doc:"How many hosts have agents; an overview lists only those that use the most CPU."`
		Ingest     fleetIngest `json:"ingest"`
		LagSeconds float64     `json:"lag_seconds" doc:"How long the last appends and heartbeats took to become durable."`
		Readers    int         `json:"readers" doc:"Live streams that are open on this server."`
	}
	fleetHost struct {
		Host            string     `json:"host"`
		Agents          int        `json:"agents"`
		CPUCores        float64    `json:"cpu_cores" doc:"Used by the jobs here, on average since the heartbeat before."`
		MemoryBytes     int64      `json:"memory_bytes"`
		UnsentBytes     int64      `json:"unsent_bytes" doc:"Of journals that wait on the host."`
		LastHeartbeatAt *time.Time `json:"last_heartbeat_at"`
	}
	fleetIngest struct {
		BytesPerSecond      float64 `json:"bytes_per_second" doc:"Journal bytes taken by this server, since the answer before."`
		HeartbeatsPerSecond float64 `json:"heartbeats_per_second"`
	}
)

// fleet remembers what was answered last, so that rates can be computed, and many who ask at
// once cost one reading.
type fleet struct {
	mu     sync.Mutex
	at     time.Time
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

// GetFleet answers what the agents and the server are doing.
func (s *Runs) GetFleet(ctx context.Context, _ *struct{}) (*route.Answer[fleetAnswer], error) {
	out, err := s.readFleet(ctx)
	if err != nil {
		return nil, err
	}
	return route.OK(out)
}

func (s *Runs) readFleet(ctx context.Context) (fleetAnswer, error) {
	f := &s.fleet
	f.mu.Lock()
	defer f.mu.Unlock()
	now := s.Now()
	if age := now.Sub(f.at); f.agents == nil || age < 0 || age >= fleetEvery {
		agents, err := s.Store.LiveAgents(ctx)
		if err != nil {
			return fleetAnswer{}, s.Internal(ctx, "read the fleet", err)
		}
		bytes, beats, _ := s.Ingest()
		f.take(now, agents, bytes, beats)
	}
	out := f.answer
	_, _, lag := s.Ingest()
	out.LagSeconds = lag.Seconds()
	out.Readers = s.Readers()
	return out, nil
}

// take makes the answer of what there is now.
func (f *fleet) take(now time.Time, agents []lease.LiveAgent, bytes, beats uint64) {
	f.answer = fleetAnswer{Agents: len(agents)}
	if seconds := now.Sub(f.at).Seconds(); f.agents != nil && seconds > 0 {
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

// rateOf compares a heartbeat with the one seen before; with none, it is the average
// since the agent began.
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
