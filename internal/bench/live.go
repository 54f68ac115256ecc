package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// How the agents of the benchmark deliver: as the real one does.
const (
	liveBeat     = 10 * time.Second
	liveSample   = 5 * time.Second
	livePace     = 3 * time.Second        // between two appends of a run that nobody watches
	liveWatched  = 150 * time.Millisecond // and of one that somebody does
	liveReaders  = 50
	liveWarmUp   = 15 * time.Second
	livePerAgent = 2 // connections: one for the journal, one for heartbeats
)

// live is what a server needs for many agents at once, and how soon a reader sees what a job
// prints. The agents live in this process and speak the real wire.
func (b *bench) live() ([]row, error) {
	if err := openFiles(uint64(livePerAgent*b.agents + 200)); err != nil {
		return nil, fmt.Errorf("%d agents: %w; ask for fewer with -agents", b.agents, err)
	}
	all, err := b.databases("live")
	if err != nil {
		return nil, err
	}
	var rows []row
	for _, on := range all {
		more, err := b.liveOn(on)
		if err := errors.Join(err, on.close()); err != nil {
			return nil, fmt.Errorf("%s: %w", on.name, err)
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// openFiles sees to it that this process may have so many files open.
func openFiles(n uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur >= n {
		return err
	}
	want := syscall.Rlimit{Cur: n, Max: max(n, limit.Max)}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &want); err != nil {
		return fmt.Errorf("%d open files, where %d are allowed: %w", n, limit.Max, err)
	}
	return nil
}

func (b *bench) liveOn(on stored) ([]row, error) {
	s, err := b.stint(on)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.stop() }() // the figures are what counts
	ctx, cancel := context.WithCancel(b.ctx)
	f := &fleet{host: s.host, ctx: ctx}
	defer func() { cancel(); f.all.Wait() }()
	for i := range b.agents {
		a := &liveAgent{fleet: f, id: runID(time.Now(), i), number: i}
		f.all.Go(a.live)
	}
	if err := f.wait(func() bool { return f.begun.Load() == int64(b.agents) }); err != nil {
		return nil, err
	}
	for i := range min(liveReaders, b.agents) {
		n := i * b.agents / liveReaders
		f.all.Go(func() { f.read(n) })
	}
	select {
	case <-time.After(liveWarmUp):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.measuring.Store(true)
	before, err := cpuOf(s.cmd.Process.Pid)
	begun := time.Now()
	<-time.After(3 * b.span)
	took := time.Since(begun).Seconds()
	f.measuring.Store(false)
	after, aerr := cpuOf(s.cmd.Process.Pid)
	peak, perr := s.peakMB()
	if err := errors.Join(err, aerr, perr, f.failure()); err != nil {
		return nil, err
	}
	late := f.latencies()
	if len(late) == 0 {
		return nil, fmt.Errorf("no reader saw a line: %w", errNoFigure)
	}
	what := fmt.Sprintf("%d live agents, %s: ", b.agents, on.name)
	return []row{
		{what: what + "memory of the server", unit: "MB", measured: peak, most: 400},
		{what: "… its CPU", unit: "cores", measured: (after - before) / took, most: 1},
		{what: fmt.Sprintf("… from a job's write to a reader, 99 of 100 (%d lines)", len(late)), unit: "s", measured: late[len(late)*99/100], most: 1},
		{what: "… the middle one", unit: "s", measured: late[len(late)/2]},
	}, nil
}

// fleet is all agents and readers.
type fleet struct {
	host      string
	ctx       context.Context
	all       sync.WaitGroup
	begun     atomic.Int64
	measuring atomic.Bool
	ids       sync.Map // number → id

	mu     sync.Mutex
	late   []float64 // seconds
	failed error
}

func (f *fleet) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ctx.Err() == nil && f.failed == nil {
		f.failed = err
	}
}

func (f *fleet) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *fleet) latencies() []float64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(slices.Values(f.late))
}

// wait waits until something holds, or an agent has failed.
func (f *fleet) wait(ok func() bool) error {
	for late := time.Now().Add(3 * time.Minute); !ok(); <-time.After(50 * time.Millisecond) {
		if err := f.failure(); err != nil {
			return err
		}
		if time.Now().After(late) {
			return fmt.Errorf("only %d agents have begun: %w", f.begun.Load(), errNoFigure)
		}
	}
	return f.failure()
}

// liveAgent is one simulated agent: what its job printed and was not yet sent, and when what
// is due.
type liveAgent struct {
	*fleet
	id       string
	number   int
	calls    *wire
	beats    *wire
	offset   int64
	pending  []byte
	sequence int
	watched  bool
}

// live is the life of an agent: a line each second, a sample, a heartbeat, and appends at
// the pace that the server's answers ask for.
func (a *liveAgent) live() {
	if err := a.start(); err != nil {
		a.fail(err)
		return
	}
	defer func() { a.calls.close(); a.beats.close() }()
	shift := time.Duration(rand.Int64N(int64(time.Second)))
	now := time.Now()
	line, sample := now.Add(shift), now.Add(shift*5)
	beat, send := now.Add(shift*10), now.Add(shift*3)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		next := slices.MinFunc([]time.Time{line, sample, beat, send}, time.Time.Compare)
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-a.ctx.Done():
			return
		}
		now := time.Now()
		var err error
		switch next {
		case line:
			a.print(now)
			line = line.Add(time.Second)
			if a.watched {
				send = now.Add(liveWatched)
			}
		case sample:
			err = a.sample(now)
			sample = sample.Add(liveSample)
		case beat:
			err = a.beat()
			beat = beat.Add(liveBeat)
		case send:
			err = a.send()
			send = now.Add(livePace)
		}
		if err != nil {
			a.fail(fmt.Errorf("agent %d: %w", a.number, err))
			return
		}
	}
}

func (a *liveAgent) path() string { return "/api/v1/runs/" + a.id + "/attempts/1" }

func (a *liveAgent) start() (err error) {
	// Not all in the same instant.
	select {
	case <-time.After(time.Duration(a.number) * time.Millisecond):
	case <-a.ctx.Done():
		return a.ctx.Err()
	}
	if a.calls, err = dialWire(a.host); err != nil {
		return err
	}
	a.pending = beginning(a.id, a.number, time.Now())
	if err := a.send(); err != nil {
		return err
	}
	a.ids.Store(a.number, a.id)
	a.begun.Add(1)
	return nil
}

// print is a line of the job, which says when it was written.
func (a *liveAgent) print(now time.Time) {
	text := fmt.Appendf(nil, "at %d step %d loss 0.%04d of the training, batch of sixty four\n", now.UnixNano(), a.offset, a.number%10000)
	a.pending = journal.AppendRecord(a.pending, journal.OutputRecord(now, journal.Output{Stream: job.Stdout, Data: text}))
}

func (a *liveAgent) sample(now time.Time) error {
	rec, err := journal.JSONRecord(journal.TypeSample, now, job.Sample{
		At: now.UTC(), CPUSeconds: float64(a.offset) / 100, CPUCores: 0.98, MemoryBytes: 512 << 20, Processes: 3, Threads: 12, ReadBytes: a.offset, WriteBytes: a.offset,
	})
	a.pending = journal.AppendRecord(a.pending, rec)
	return err
}

// beat opens its connection with the first heartbeat, as the real agent does.
func (a *liveAgent) beat() (err error) {
	if a.beats == nil {
		if a.beats, err = dialWire(a.host); err != nil {
			return err
		}
	}
	a.sequence++
	_, err = a.beats.post(a.path()+"/heartbeat", "application/json", heartbeat(a.sequence))
	return err
}

func (a *liveAgent) send() error {
	if len(a.pending) == 0 {
		return nil
	}
	answer, err := a.calls.post(a.path()+"/journal?offset="+strconv.FormatInt(a.offset, 10), "application/octet-stream", a.pending)
	if err != nil {
		return err
	}
	var reply job.AppendReply
	if err := json.Unmarshal(answer, &reply); err != nil {
		return err
	}
	if a.offset += int64(len(a.pending)); reply.Size != a.offset {
		return fmt.Errorf("the server has %d bytes of %d: %w", reply.Size, a.offset, errNoFigure)
	}
	a.pending, a.watched = a.pending[:0], reply.Watched
	return nil
}

// read follows a run live and notes how old its lines are.
func (f *fleet) read(number int) {
	id, _ := f.ids.Load(number)
	req, err := http.NewRequestWithContext(f.ctx, http.MethodGet, fmt.Sprintf("http://%s/api/v1/runs/%s/stream?tail=1", f.host, id), nil)
	if err != nil {
		f.fail(err)
		return
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		f.fail(err)
		return
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f.seen(lines.Text())
	}
	if f.ctx.Err() == nil {
		f.fail(fmt.Errorf("live stream of run %d ended: %w", number, errors.Join(lines.Err(), errNoFigure)))
	}
}

// seen notes the age of each line of an output event.
func (f *fleet) seen(text string) {
	data, ok := strings.CutPrefix(text, "data:")
	if !ok || !f.measuring.Load() {
		return
	}
	var event struct {
		Text string `json:"text"`
	}
	if json.Unmarshal([]byte(data), &event) != nil {
		return // not output
	}
	now := time.Now().UnixNano()
	for line := range strings.Lines(event.Text) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "at" {
			continue
		}
		if at, err := strconv.ParseInt(words[1], 10, 64); err == nil {
			f.mu.Lock()
			f.late = append(f.late, float64(now-at)/1e9)
			f.mu.Unlock()
		}
	}
}
