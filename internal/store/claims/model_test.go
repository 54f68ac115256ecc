package claims

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

// model is one submitted run, its workers and the processes that they start, with a network that keeps
// every request and every answer, and delivers any of them at any time, any number of times. What it knows
// is naive: which processes have started which attempt.
type model struct {
	*bench
	run       string
	polls     map[string][]job.ClaimRequest // by worker: also those that were answered
	claims    []job.Claim                   // that a worker has received, some more than once
	processes []*process
	starts    map[int][]*process // by attempt
}

func (m *model) server(t *rapid.T) server { return rapid.SampledFrom(m.servers).Draw(t, "server") }

func (m *model) process(t *rapid.T, want func(*process) bool) *process {
	some := slices.DeleteFunc(slices.Clone(m.processes), func(p *process) bool { return !want(p) })
	if len(some) == 0 {
		t.Skip("no such process")
	}
	return rapid.SampledFrom(some).Draw(t, "process")
}

func (m *model) worker(t *rapid.T) string {
	return rapid.SampledFrom([]string{"w1", "w2", "w3", "w4", "w5"}).Draw(t, "worker")
}

// sendPoll sends a request of a worker, a new one or one that it has sent before, and receives the answer
// or loses it.
func (m *model) sendPoll(t *rapid.T) {
	w := m.worker(t)
	if n := len(m.polls[w]); n == 0 || rapid.Bool().Draw(t, "new") {
		m.polls[w] = append(m.polls[w], m.poll(w, nil))
	}
	r := rapid.SampledFrom(m.polls[w]).Draw(t, "poll")
	for _, c := range m.claims {
		if rapid.Bool().Draw(t, "names it") {
			r.Starting = append(r.Starting, c.Claim)
		}
	}
	m.match(m.bench.t)
	reply, err := m.server(t).Claim(m.bench.t.Context(), w, r)
	must(m.bench.t, err)
	for _, c := range reply.Claims {
		if c.Run != m.run {
			t.Fatalf("a claim of run %s, which nobody submitted", c.Run)
		}
	}
	if rapid.Bool().Draw(t, "answered") {
		m.claims = append(m.claims, reply.Claims...)
	}
}

// startProcess starts an agent for a claim, of which a worker may start several by mistake.
func (m *model) startProcess(t *rapid.T) {
	if len(m.claims) == 0 {
		t.Skip("no claim yet")
	}
	c := rapid.SampledFrom(m.claims).Draw(t, "claim")
	m.processes = append(m.processes, newProcess(m.bench.t, c, "host"))
}

// askPermit sends the question of a process, also of one that has started or ended: it was on its way.
func (m *model) askPermit(t *rapid.T) {
	m.ask(m.bench.t, m.server(t), m.process(t, func(*process) bool { return true }))
}

// receiveAnswer gives a process one of the answers to its questions. It starts as an agent does: if the
// answer is young, or a heartbeat confirms it.
func (m *model) receiveAnswer(t *rapid.T) {
	p := m.process(t, func(p *process) bool { return !p.started && !p.ended && len(p.answers) > 0 })
	a := rapid.SampledFrom(p.answers).Draw(t, "answer")
	if a.Answer != job.PermitGranted {
		p.ended = true
		return
	}
	if m.clock().Sub(a.asked) >= time.Duration(a.LeaseMS)*time.Millisecond/2 {
		if got := m.beat(m.bench.t, m.server(t), p.claim.Run, p.claim.Attempt); !got.Owner {
			p.ended = true
			return
		}
	}
	p.started = true
	m.starts[p.claim.Attempt] = append(m.starts[p.claim.Attempt], p)
	if row := m.bench.run(m.bench.t, m.run); row.Run.Attempt != p.claim.Attempt {
		t.Fatalf("attempt %d starts while the run shows attempt %d", p.claim.Attempt, row.Run.Attempt)
	}
	p.begin(m.bench.t, m.clock())
}

func running(p *process) bool { return p.started && !p.ended }

// report delivers what a process has written, and maybe its end.
func (m *model) report(t *rapid.T) {
	p := m.process(t, running)
	if rapid.IntRange(0, 3).Draw(t, "ends") == 0 {
		p.end(m.bench.t, m.clock(), rapid.SampledFrom([]job.Outcome{
			job.Classify(job.Ending{Kind: job.CommandStep}), job.Classify(job.Ending{Kind: job.CommandStep, ExitCode: 1}), job.Unfinished(false, m.clock()),
		}).Draw(t, "outcome"))
	}
	m.send(m.bench.t, m.server(t), p)
}

// keepAlive sends a heartbeat of a process.
func (m *model) keepAlive(t *rapid.T) {
	p := m.process(t, running)
	m.beat(m.bench.t, m.server(t), p.claim.Run, p.claim.Attempt)
}

// check compares the database with what the model knows.
func (m *model) check(t *rapid.T) {
	for attempt, by := range m.starts {
		if len(by) > 1 {
			t.Fatalf("attempt %d was started %d times", attempt, len(by))
		}
	}
	row := m.bench.run(m.bench.t, m.run)
	waiting, claims := m.waits(m.bench.t, m.run)
	switch state := row.Run.State; {
	case state == job.Queued || state == job.Retrying:
		if waiting+claims != 1 {
			t.Fatalf("the run is %s, %d wait in the queue, %d claims", state, waiting, claims)
		}
	case waiting+claims != 0:
		t.Fatalf("the run is %s, %d wait in the queue, %d claims", state, waiting, claims)
	}
	permits, err := m.servers[0].ReadTexts(m.bench.t.Context(), `SELECT incarnation FROM permits WHERE run_id = $1 ORDER BY attempt`, m.run)
	must(m.bench.t, err)
	if len(permits) != row.Run.Attempt {
		t.Fatalf("attempt %d is shown, %d have a permit", row.Run.Attempt, len(permits))
	}
	for attempt, by := range m.starts {
		if permits[attempt-1] != by[0].incarnation {
			t.Fatalf("attempt %d was started by a process without its permit", attempt)
		}
	}
	journals, err := m.servers[0].ReadTexts(m.bench.t.Context(), `SELECT run_id FROM attempts WHERE run_id = $1`, m.run)
	if must(m.bench.t, err); len(journals) != len(permits) {
		t.Fatalf("%d attempts have a journal, %d a permit", len(journals), len(permits))
	}
}

// Whatever is cut off, repeated, delayed and reordered between two servers, workers and processes, each
// attempt starts at most once, a run that waits is in the queue or claimed once, and nothing of an attempt
// without a permit is kept.
func TestModel(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		rapid.Check(t, func(rt *rapid.T) {
			b.empty(t)
			m := &model{bench: b, run: b.submit(t), polls: map[string][]job.ClaimRequest{}, starts: map[int][]*process{}}
			rt.Repeat(map[string]func(*rapid.T){
				"poll": m.sendPoll, "poll again": m.sendPoll, "start a process": m.startProcess, "ask": m.askPermit, "ask again": m.askPermit,
				"receive": m.receiveAnswer, "report": m.report, "keep alive": m.keepAlive,
				"time passes": func(t *rapid.T) {
					b.pass(time.Duration(rapid.Int64Range(1, 40_000).Draw(t, "ms")) * time.Millisecond)
				},
				"claims end": func(t *rapid.T) {
					_, err := m.server(t).EndOverdueClaims(b.t.Context())
					must(b.t, err)
				},
				"leases end": func(t *rapid.T) { b.judge(b.t, m.server(t)) },
				"a claim is released": func(t *rapid.T) {
					if len(m.claims) == 0 {
						t.Skip("no claim yet")
					}
					c := rapid.SampledFrom(m.claims).Draw(t, "claim")
					_, _, err := m.server(t).ReleaseClaim(b.t.Context(), m.worker(t), c.Claim, "it cannot run here")
					must(b.t, err)
				},
				"a worker is drained": func(t *rapid.T) {
					err := m.server(t).DrainWorker(b.t.Context(), m.worker(t), job.Drain{By: "ada", At: b.clock()})
					if err != nil {
						t.Skip("unknown")
					}
				},
				"a worker is resumed": func(t *rapid.T) {
					if m.server(t).ResumeWorker(b.t.Context(), m.worker(t)) != nil {
						t.Skip("unknown")
					}
				},
				"": m.check,
			})
		})
	})
}

// Two processes with one claim ask two servers at the same moment.
func TestProcessesAskAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		for range 20 {
			b.submit(t)
			c := b.claimOne(t, "w1")
			var processes []*process
			for range 4 {
				processes = append(processes, newProcess(t, c, "h"))
			}
			answers := make(chan job.Permit, len(processes))
			for i, p := range processes {
				go func() { answers <- b.ask(t, b.servers[i%2], p) }()
			}
			granted := 0
			for range processes {
				if got := <-answers; got.Answer == job.PermitGranted {
					granted++
				}
			}
			if granted != 1 {
				t.Fatalf("%d processes got the permit", granted)
			}
			b.empty(t)
		}
	})
}

// A permit, the end of the claim, and the drain of its worker at the same moment: one of them wins.
func TestPermitAndEndAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T, b *bench) {
		for i := range 20 {
			b.empty(t)
			run := b.submit(t)
			worker := fmt.Sprint("w", i)
			c := b.claimOne(t, worker)
			p := newProcess(t, c, "h")
			done := make(chan error, 2)
			var got job.Permit
			go func() { got = b.ask(t, b.servers[0], p); done <- nil }()
			go func() {
				if i%2 == 0 {
					done <- b.servers[1].DrainWorker(t.Context(), worker, job.Drain{By: "ada", At: b.clock()})
					return
				}
				_, _, err := b.servers[1].ReleaseClaim(t.Context(), worker, c.Claim, "it cannot run here")
				done <- err
			}()
			must(t, <-done)
			must(t, <-done)
			waiting, claims := b.waits(t, run)
			if started := got.Answer == job.PermitGranted; started != (waiting == 0) || claims != 0 || started != (b.run(t, run).Run.State == job.Starting) {
				t.Fatalf("%+v, %d wait, %d claims", got, waiting, claims)
			}
		}
	})
}
