package main

import (
	"errors"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
)

// beatsPeriod is what the agents of this benchmark say their period is: long, so that none
// is late while the others have their turn.
const beatsPeriod = time.Minute

// beats is what heartbeats cost the server, each durable before it is answered, against the
// least that a Go server does with a request. Each server has the first core for itself, and
// those who send have the second.
func (b *bench) beats() ([]row, error) {
	noop, err := b.Serve(nil, host.Pinned("0", b.Program("noop"), "{}")...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = noop.Stop() }() // it has nothing to say
	ours, err := b.Serve(nil, host.Pinned("0", b.Program("stint"), "server", "--listen", "{}", "--data", b.Program("beats"))...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ours.Stop() }() // the figures are what counts
	release, err := b.PinSelf("1")
	if err != nil {
		return nil, err
	}
	defer release()
	const most = 1000
	paths := make([]string, most)
	for i := range paths {
		if paths[i], err = begin(ours.Address, i); err != nil {
			return nil, err
		}
	}
	servers := []*host.Service{noop, ours}
	var wires [2][]*fleet.Wire
	for i, s := range servers {
		wires[i], err = connect(s, paths)
		defer hangUp(wires[i])
		if err != nil {
			return nil, err
		}
	}
	var cpu, rate, p50 [2][]float64
	for range max(3, b.rounds/2) {
		for i, s := range servers {
			many, err := pound(s, wires[i], paths, b.span)
			if err != nil {
				return nil, err
			}
			few, err := pound(s, wires[i][:64], paths[:64], b.span)
			if err != nil {
				return nil, err
			}
			cpu[i], rate[i], p50[i] = append(cpu[i], many.cpu), append(rate[i], many.rate), append(p50[i], few.p50)
		}
	}
	return []row{
		{what: "durable heartbeats, 1,000 connections, server on one core: CPU of each", unit: "µs", yardstick: median(cpu[0]), measured: median(cpu[1]), mostRatio: 4},
		{what: "… how many", unit: "/s", yardstick: median(rate[0]), measured: median(rate[1]), leastRatio: 0.66},
		{what: "… median with 64 connections", unit: "ms", yardstick: median(p50[0]), measured: median(p50[1]), most: 5},
	}, nil
}

// connect makes one connection for each path, and sends a first heartbeat on it.
func connect(s *host.Service, paths []string) ([]*fleet.Wire, error) {
	var wires []*fleet.Wire
	for _, path := range paths {
		w, err := fleet.Dial(s.Address)
		if err != nil {
			return wires, err
		}
		wires = append(wires, w)
		if _, err := w.Post(path+"/heartbeat", "application/json", fleet.Heartbeat(1, beatsPeriod)); err != nil {
			return wires, err
		}
	}
	return wires, nil
}

func hangUp(wires []*fleet.Wire) {
	for _, w := range wires {
		w.Close()
	}
}

// begin brings the beginning of a run to a server and returns the path of its attempt.
func begin(host string, n int) (string, error) {
	w, err := fleet.Dial(host)
	if err != nil {
		return "", err
	}
	defer w.Close()
	id := fleet.RunID(time.Now(), n)
	path := "/api/v1/runs/" + id + "/attempts/1"
	_, err = w.Post(path+"/journal?offset=0", "application/octet-stream", fleet.Beginning(id, n, time.Now(), beatsPeriod))
	return path, err
}

type load struct {
	rate, cpu, p50 float64 // per second, µs each, ms
}

// pound sends heartbeats on one connection for each path, one after the other's answer.
func pound(s *host.Service, wires []*fleet.Wire, paths []string, span time.Duration) (load, error) {
	var mu sync.Mutex
	var all []float64
	var failed error
	var workers sync.WaitGroup
	ready := make(chan struct{})
	var end time.Time
	for i, path := range paths {
		w := wires[i]
		workers.Go(func() {
			<-ready
			var took []float64
			for n := 1; time.Now().Before(end); n++ {
				begun := time.Now()
				if _, err := w.Post(path+"/heartbeat", "application/json", fleet.Heartbeat(n+1, beatsPeriod)); err != nil {
					mu.Lock()
					failed = err // one error is as good as a thousand
					mu.Unlock()
					return
				}
				took = append(took, float64(time.Since(begun).Microseconds())/1e3)
			}
			mu.Lock()
			all = append(all, took...)
			mu.Unlock()
		})
	}
	before, err := s.CPU()
	begun := time.Now()
	end = begun.Add(span)
	close(ready)
	workers.Wait()
	took := time.Since(begun).Seconds()
	after, aerr := s.CPU()
	if err := errors.Join(err, aerr, failed); err != nil || len(all) == 0 {
		return load{}, errors.Join(err, host.ErrNoFigure)
	}
	slices.Sort(all)
	n := float64(len(all))
	return load{rate: n / took, cpu: 1e6 * (after - before) / n, p50: all[len(all)/2]}, nil
}
