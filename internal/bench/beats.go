package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// beats is what heartbeats cost the server, each durable before it is answered, against the
// least that a Go server does with a request. Each server has one core.
func (b *bench) beats() ([]row, error) {
	one := []string{"GOMAXPROCS=1"}
	noop, err := b.serve(one, b.program("noop"), "{}")
	if err != nil {
		return nil, err
	}
	defer func() { _ = noop.stop() }() // it has nothing to say
	dir := b.program("beats")
	ours, err := b.stint(stored{place: []string{"--data", dir}}, one...)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ours.stop() }() // the figures are what counts
	const most = 1000
	paths := make([]string, most)
	for i := range paths {
		if paths[i], err = begin(ours.host, i); err != nil {
			return nil, err
		}
	}
	var cpu, rate, p50 [2][]float64
	for range max(3, b.rounds/2) {
		for i, s := range []*service{noop, ours} {
			many, err := pound(s, paths, b.span)
			if err != nil {
				return nil, err
			}
			few, err := pound(s, paths[:64], b.span)
			if err != nil {
				return nil, err
			}
			cpu[i], rate[i], p50[i] = append(cpu[i], many.cpu), append(rate[i], many.rate), append(p50[i], few.p50)
		}
	}
	return []row{
		{what: "durable heartbeats, 1,000 connections, server on one core: CPU of each", unit: "µs", yardstick: median(cpu[0]), measured: median(cpu[1]), mostRatio: 4},
		{what: "… how many", unit: "/s", yardstick: median(rate[0]), measured: median(rate[1]), leastRatio: 0.66},
		{what: "… 64 connections: the middle one takes", unit: "ms", yardstick: median(p50[0]), measured: median(p50[1]), most: 5},
	}, nil
}

// runID is the id of the n-th run of a benchmark, begun at a time.
func runID(at time.Time, n int) string {
	ms := at.UnixMilli()
	return fmt.Sprintf("%08x-%04x-7000-8000-%012x", ms>>16, ms&0xffff, n)
}

// begin brings the beginning of a run to a server and returns the path of its attempt.
func begin(host string, n int) (string, error) {
	w, err := dialWire(host)
	if err != nil {
		return "", err
	}
	defer w.close()
	id := runID(time.Now(), n)
	path := "/api/v1/runs/" + id + "/attempts/1"
	_, err = w.post(path+"/journal?offset=0", "application/octet-stream", beginning(id, n, time.Now()))
	return path, err
}

// beginning is the journal of an attempt whose command has just started.
func beginning(id string, n int, at time.Time) []byte {
	b := journal.AppendHeader(nil)
	for _, r := range []struct {
		t journal.Type
		v any
	}{
		{journal.TypeAttempt, journal.Attempt{
			Run: id, Attempt: 1, Job: fmt.Sprintf("load-%d", n%200), Args: []string{"python", "train.py", fmt.Sprint(n)},
			Host: fmt.Sprintf("node-%d", n%500), AgentVersion: "bench", HeartbeatPeriodMS: 5000,
		}},
		{journal.TypeStepStarted, journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "python train.py", PID: 1}},
	} {
		rec, err := journal.JSONRecord(r.t, at, r.v)
		if err != nil {
			panic(err) // these values can be encoded
		}
		b = journal.AppendRecord(b, rec)
	}
	return b
}

// heartbeat is what an agent sends.
func heartbeat(sequence int, period time.Duration) []byte {
	return fmt.Appendf(nil, `{"sequence":%d,"sent_at":%q,"uptime_ms":%d,"scheduling_delay_ms":0,"output_age_ms":420,"cpu_seconds":%d.25,"memory_bytes":123456789,"processes":4,"unsent_bytes":0,"period_ms":%d}`,
		sequence, time.Now().UTC().Format(time.RFC3339Nano), int64(sequence)*period.Milliseconds(), sequence, period.Milliseconds())
}

type load struct {
	rate, cpu, p50 float64 // per second, µs each, ms
}

// pound sends heartbeats on one connection for each path, one after the other's answer.
func pound(s *service, paths []string, span time.Duration) (load, error) {
	var mu sync.Mutex
	var all []float64
	var failed error
	var workers sync.WaitGroup
	ready := make(chan struct{})
	var end time.Time
	for _, path := range paths {
		w, err := dialWire(s.host)
		if err != nil {
			return load{}, err
		}
		workers.Go(func() {
			defer w.close()
			<-ready
			var took []float64
			for n := 1; time.Now().Before(end); n++ {
				begun := time.Now()
				if _, err := w.post(path+"/heartbeat", "application/json", heartbeat(n, 5*time.Second)); err != nil {
					mu.Lock()
					failed = errors.Join(failed, err)
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
	before, err := cpuOf(s.cmd.Process.Pid)
	begun := time.Now()
	end = begun.Add(span)
	close(ready)
	workers.Wait()
	took := time.Since(begun).Seconds()
	after, aerr := cpuOf(s.cmd.Process.Pid)
	if err := errors.Join(err, aerr, failed); err != nil || len(all) == 0 {
		return load{}, errors.Join(err, errNoFigure)
	}
	slices.Sort(all)
	n := float64(len(all))
	return load{rate: n / took, cpu: 1e6 * (after - before) / n, p50: all[len(all)/2]}, nil
}
