package faulttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/job"
)

// victims are agents of one token while another one attacks, and what their requests take.
type victims struct {
	*world
	plan   hostilePlan
	all    []*victim
	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	beatsAgain, appendsAgain atomic.Int64

	mu    sync.Mutex
	spans []*attackSpan
}

// attackSpan is what requests took while an attack went on: until they succeeded.
type attackSpan struct {
	name           string
	beats, appends []time.Duration
	plain          []time.Duration // requests to a plain server
	from, to       time.Time
	before, after  processor // of the server
}

// victim is one agent. As in a real one, heartbeats do not wait for the appends of what its job
// printed.
type victim struct {
	beating, appending *client.Client
	run                string
	beats              int
	offset             int64
	lines              int
	printed            bytes.Buffer
}

// startVictims begins the runs of all agents, and their work.
func startVictims(w *world, plan hostilePlan) *victims {
	w.t.Helper()
	v := &victims{world: w, plan: plan, spans: []*attackSpan{{name: "start"}}}
	v.ctx, v.cancel = context.WithCancel(w.t.Context())
	for range plan.agents {
		one := &victim{run: newRun()}
		for api, run := range map[**client.Client]string{&one.beating: one.run, &one.appending: ""} {
			c, err := client.New(client.Options{URL: w.api.URL(), Token: w.agentToken, Run: run})
			if err != nil {
				w.t.Fatal(err)
			}
			w.t.Cleanup(c.Close)
			*api = c
		}
		reply, err := one.appending.Append(v.ctx, one.run, 1, 0, beginning(one.run, "victim", nil))
		if err != nil {
			w.t.Fatal(err)
		}
		one.offset = reply.Size
		v.all = append(v.all, one)
	}
	for _, one := range v.all {
		for _, send := range []func(*victim){v.beat, v.append} {
			v.work.Go(func() {
				for wait(v.ctx, rand.N(v.plan.every)); v.ctx.Err() == nil; wait(v.ctx, v.plan.every/2+rand.N(v.plan.every)) {
					send(one)
				}
			})
		}
	}
	plain := startPlain(w.t)
	v.work.Go(func() { v.askPlain(plain) })
	return v
}

func (v *victims) stop() {
	v.cancel()
	v.work.Wait()
}

func (v *victims) runs() (all []string) {
	for _, one := range v.all {
		all = append(all, one.run)
	}
	return all
}

// during counts what comes for a time for an attack, from its beginning on: many connections that
// come at once may cost more than what comes later.
func (v *victims) during(name string, long time.Duration, begin func()) {
	s := &attackSpan{name: name, from: time.Now(), before: processorOf(v.server.process().Pid)}
	v.mu.Lock()
	v.spans = append(v.spans, s)
	v.mu.Unlock()
	begin()
	wait(v.ctx, long)
	s.to, s.after = time.Now(), processorOf(v.server.process().Pid)
}

// span is the one that goes on.
func (v *victims) span() *attackSpan {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.spans[len(v.spans)-1]
}

// afterAttacks is the name of the span in which no attack goes on any more.
const afterAttacks = "after the attacks"

// attacked is what requests took during all attacks.
func (v *victims) attacked() (all attackSpan) {
	for _, s := range v.spans[2:] { // before them are the start, and the time without an attack
		if s.name == afterAttacks {
			continue
		}
		all.beats = append(all.beats, s.beats...)
		all.appends = append(all.appends, s.appends...)
		all.plain = append(all.plain, s.plain...)
	}
	return all
}

// againAfter is when an agent of the test repeats what was refused.
const againAfter = 100 * ms

// beat sends a heartbeat until it is answered.
func (v *victims) beat(one *victim) {
	one.beats++
	s, begun := v.span(), time.Now()
	for {
		reply, err := one.beating.Beat(v.ctx, one.run, 1, job.Heartbeat{Sequence: int64(one.beats), OutputAgeMS: 1, Processes: 1, PeriodMS: v.plan.every.Milliseconds()})
		switch {
		case v.ctx.Err() != nil:
			return
		case err == nil && !reply.Owner:
			v.t.Errorf("run %s: the server says that it belongs to somebody else", one.run)
			return
		case err == nil:
			v.took(&s.beats, begun)
			return
		}
		v.refused("heartbeat", err)
		v.beatsAgain.Add(1)
		wait(v.ctx, againAfter)
	}
}

// append sends a line until it is taken.
func (v *victims) append(one *victim) {
	one.lines++
	line := fmt.Sprintf("line %d of %s\n", one.lines, one.run)
	data := output(0, line)
	one.printed.WriteString(line)
	s, begun := v.span(), time.Now()
	for {
		reply, err := one.appending.Append(context.WithoutCancel(v.ctx), one.run, 1, one.offset, data)
		var p *job.Problem
		switch {
		case err == nil, errors.As(err, &p) && p.Size != nil && *p.Size == one.offset+int64(len(data)): // it was taken, and the answer was lost
			if one.offset += int64(len(data)); err == nil && reply.Size != one.offset {
				v.t.Errorf("run %s: the server has %d bytes of %d", one.run, reply.Size, one.offset)
			}
			v.took(&s.appends, begun)
			return
		}
		v.refused("append", err)
		v.appendsAgain.Add(1)
		wait(context.WithoutCancel(v.ctx), againAfter)
	}
}

func (v *victims) took(into *[]time.Duration, begun time.Time) {
	v.mu.Lock()
	defer v.mu.Unlock()
	*into = append(*into, time.Since(begun))
}

// refused fails the test for an answer that no attack may lead to.
func (v *victims) refused(what string, err error) {
	var p *job.Problem
	if errors.As(err, &p) && !p.Temporary() {
		v.t.Errorf("%s of the agents that are attacked: %v", what, err)
		v.cancel()
	}
}

// wantWhole compares what every job printed with its log.
func (v *victims) wantWhole() {
	v.t.Helper()
	for _, one := range v.all {
		var log bytes.Buffer
		if err := v.api.Log(context.Background(), &log, one.run, client.LogQuery{}, false); err != nil {
			v.t.Errorf("log of run %s: %v", one.run, err)
		} else if !bytes.Equal(log.Bytes(), one.printed.Bytes()) {
			v.t.Errorf("run %s: %d of %d bytes, differing at byte %d", one.run, log.Len(), one.printed.Len(), difference(one.printed.Bytes(), log.Bytes()))
		}
	}
}
