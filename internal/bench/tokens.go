package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"stint.dev/stint/internal/bench/fill"
	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const (
	// tokenAgents is how many agents each server has, however many tokens there are.
	tokenAgents = 20_000
	// tokenWorkers send at once, each a heartbeat or an append every tokenPause: far below
	// what the server can do, as agents do.
	tokenWorkers = 32
	tokenPause   = 80 * time.Millisecond
	// tokenPeriod is what the agents say their period is: the longest that there is, so that none is
	// late while the others have their turn. A run that is lost and found again is work of another kind.
	tokenPeriod = 5 * time.Minute
	// tokenRounds are how many rounds each of the bench's makes. What else the machine does comes in
	// bursts: one request after the other goes to another server, so that a burst meets all alike,
	// and the median of the 99th percentiles of all rounds leaves out the rounds that it met.
	tokenRounds = 3
	// idleLimit bounds the wait for the end of what begins with the first use of a token. A server
	// that watches over so many runs is never idle.
	idleLimit = 30 * time.Second
)

// tokenFleet is a server whose agents share its tokens evenly.
type tokenFleet struct {
	*host.Service
	secrets []string
	agents  []*tokenAgent
	wires   []*fleet.Wire
	// beats and appends are the 99th percentiles of each round, in ms.
	beats, appends []float64
	cpu            float64 // of the server in all rounds, in seconds
	requests       int
}

// cost is the CPU time of the server for each request, in µs.
func (f *tokenFleet) cost() float64 { return 1e6 * f.cpu / float64(f.requests) }

// tokenAgent is one agent: its run and how much of its journal the server has.
type tokenAgent struct {
	mu       sync.Mutex // one request of an agent at a time
	secret   string
	path     string
	offset   int64
	sequence int
}

// tokens is what heartbeats and appends take with few and with many tokens in use, by the same number
// of agents.
func (b *bench) tokens() (rows []row, err error) {
	counts := []int{20, 2_000, 20_000}
	fleets := make([]*tokenFleet, len(counts))
	for i, n := range counts {
		if fleets[i], err = b.tokenFleet(n); err != nil {
			return nil, err
		}
		defer fleets[i].close()
	}
	for _, f := range fleets { // the uses of 20,000 tokens are written down some at a time
		if err := f.WaitIdle(idleLimit); err != nil {
			return nil, err
		}
	}
	for range tokenRounds * b.rounds {
		if err := work(fleets, b.span); err != nil {
			return nil, err
		}
	}
	for i := 1; i < len(counts); i++ {
		agents := fmt.Sprintf("%d agents with %d tokens, against %d: ", tokenAgents, counts[i], counts[0])
		what := agents + "p99 of "
		rows = append(
			rows,
			row{what: agents + "CPU of each request", unit: "µs", yardstick: fleets[0].cost(), measured: fleets[i].cost(), mostRatio: 1.2},
			row{what: what + "heartbeats", unit: "ms", yardstick: median(fleets[0].beats), measured: median(fleets[i].beats), mostRatio: 1.2},
			row{what: what + "appends", unit: "ms", yardstick: median(fleets[0].appends), measured: median(fleets[i].appends), mostRatio: 1.2},
		)
	}
	return rows, nil
}

func p99(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	return slices.Sorted(slices.Values(all))[len(all)*99/100]
}

// tokenFleet makes a server with n tokens and its agents.
func (b *bench) tokenFleet(n int) (*tokenFleet, error) {
	dir := filepath.Join(b.Dir, "tokens-"+strconv.Itoa(n))
	f := &tokenFleet{}
	var err error
	if f.secrets, err = fill.Tokens(b.Ctx, store.Options{Dir: dir, Relaxed: true}, n); err != nil {
		return nil, err
	}
	if f.Service, err = b.Serve(nil, b.Program("stint"), "server", "--listen", "{}", "--data", dir, "--require-token"); err != nil {
		return nil, err
	}
	for range tokenWorkers {
		w, err := fleet.Dial(f.Address)
		if err != nil {
			return nil, errors.Join(err, f.Stop())
		}
		f.wires = append(f.wires, w)
	}
	for i := range tokenAgents {
		f.agents = append(f.agents, &tokenAgent{secret: f.secrets[i%n], path: "/api/v1/runs/" + fleet.RunID(time.Now(), i) + "/attempts/1"})
	}
	return f, each(tokenWorkers, func(worker, i int) (bool, error) {
		if i >= len(f.agents) {
			return false, nil
		}
		return true, f.agents[i].append(f.wires[worker], fleet.Beginning(f.agents[i].path[len("/api/v1/runs/"):][:36], i, time.Now(), tokenPeriod))
	})
}

func (f *tokenFleet) close() {
	hangUp(f.wires)
	if err := f.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "bench: a server ended with", err)
	}
}

// each calls do in so many workers with rising numbers, until it says that it is done.
func each(workers int, do func(worker, n int) (more bool, err error)) error {
	var mu sync.Mutex
	var failed error
	next := 0
	var all sync.WaitGroup
	for worker := range workers {
		all.Go(func() {
			for more := true; more; {
				mu.Lock()
				n := next
				next++
				stop := failed != nil
				mu.Unlock()
				if stop {
					return
				}
				var err error
				if more, err = do(worker, n); err != nil {
					mu.Lock()
					failed = err // one error is as good as all
					mu.Unlock()
					return
				}
			}
		})
	}
	all.Wait()
	return failed
}

// work lets agents of each fleet in turn, taken at random, send heartbeats and appends for a time,
// and notes the 99th percentiles of their times, and the CPU.
func work(fleets []*tokenFleet, span time.Duration) error {
	var mu sync.Mutex // of the figures
	took := make([][2][]float64, len(fleets))
	used, err := cpuOfAll(fleets)
	if err != nil {
		return err
	}
	end := time.Now().Add(span)
	err = each(tokenWorkers, func(worker, n int) (bool, error) {
		<-time.After(rand.N(2 * tokenPause))
		of, kind := n%len(fleets), n/len(fleets)%2
		f := fleets[of]
		ms, err := f.agents[rand.IntN(len(f.agents))].send(f.wires[worker], kind == 0, n)
		mu.Lock()
		took[of][kind] = append(took[of][kind], ms)
		mu.Unlock()
		return time.Now().Before(end), err
	})
	after, cerr := cpuOfAll(fleets)
	if err := errors.Join(err, cerr); err != nil {
		return err
	}
	for i, f := range fleets {
		f.beats, f.appends = append(f.beats, p99(took[i][0])), append(f.appends, p99(took[i][1]))
		f.cpu, f.requests = f.cpu+after[i]-used[i], f.requests+len(took[i][0])+len(took[i][1])
	}
	return nil
}

// cpuOfAll is the CPU time of each server, in seconds.
func cpuOfAll(fleets []*tokenFleet) ([]float64, error) {
	used := make([]float64, len(fleets))
	for i, f := range fleets {
		var err error
		if used[i], err = f.CPU(); err != nil {
			return nil, err
		}
	}
	return used, nil
}

// send sends a heartbeat, or a line of output, and returns how many ms that took.
func (a *tokenAgent) send(w *fleet.Wire, beat bool, n int) (ms float64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	begun := time.Now()
	defer func() { ms = float64(time.Since(begun).Microseconds()) / 1e3 }()
	if !beat {
		line := journal.Output{Stream: job.Stdout, Data: fmt.Appendf(nil, "step %d loss 0.1234\n", n)}
		return 0, a.append(w, journal.AppendRecord(nil, journal.OutputRecord(begun, line)))
	}
	a.sequence++
	w.Token = a.secret
	_, err = w.Post(a.path+"/heartbeat", "application/json", fleet.Heartbeat(a.sequence, tokenPeriod))
	return 0, err
}

// append sends bytes of the agent's journal.
func (a *tokenAgent) append(w *fleet.Wire, data []byte) error {
	w.Token = a.secret
	answer, err := w.Post(a.path+"/journal?offset="+strconv.FormatInt(a.offset, 10), "application/octet-stream", data)
	if err != nil {
		return err
	}
	var reply job.AppendReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return err
	}
	if a.offset += int64(len(data)); reply.Size != a.offset {
		return fmt.Errorf("the server has %d bytes of %d: %w", reply.Size, a.offset, host.ErrNoFigure)
	}
	return nil
}
