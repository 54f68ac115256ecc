package faulttest

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/job"
)

// killPlan is how many agents are killed, each some time after its start and not before the server
// knows the run, unless the test is played in full; 0 means as soon as the server knows it.
type killPlan struct {
	ages  []time.Duration
	times int
}

var (
	fewKills = killPlan{[]time.Duration{0, time.Second}, 1}
	allKills = killPlan{[]time.Duration{0, 100 * ms, 500 * ms, time.Second, 3 * time.Second, 30 * time.Second}, 20}
)

// killsApart is the time from one kill to the next, long enough that no three connections
// close together.
const killsApart = 700 * ms

// noState is a state directory that no agent can use. Without a journal on the disk nothing
// can be delivered after the agent's death.
const noState = "/proc/self/none"

// Agents that are killed are known to be lost soon: by the journal that is delivered after
// their death, and where there is none, by the end of the connection. In full every kill is
// measured.
func TestKilledAgentsAreLostSoon(t *testing.T) {
	plan := fewKills
	if *alive {
		plan = allKills
	}
	w := openWorld(t, "--insecure")
	for _, how := range []struct{ name, state string }{{"by their journal", ""}, {"by the connection", noState}} {
		for _, age := range plan.ages {
			ends := w.kill(how.state, how.name, age, plan.times)
			var took []time.Duration
			journals := 0
			for _, e := range ends {
				took = append(took, e.took)
				if e.complete {
					journals++
				}
			}
			if len(took) == 0 {
				t.Fatalf("the server knew no agent that was killed %s after its start", age)
			}
			slices.Sort(took)
			fmt.Printf("alive: %s, %d agents killed %s after their start, %d of them before the server knew them: lost after %s to %s, %d with their whole journal\n",
				how.name, plan.times, age, plan.times-len(took), took[0], took[len(took)-1], journals)
			if late := took[len(took)-1]; *alive && late > 1500*ms {
				t.Errorf("%s: an agent killed %s after its start was lost after %s", how.name, age, late)
			}
			if how.state == "" && age >= leavesWhole && journals < len(ends) {
				t.Errorf("%d of %d agents killed %s after their start left no whole journal", len(ends)-journals, len(ends), age)
			}
		}
	}
}

// death is what the server knows of a killed agent.
type death struct {
	run      string
	killed   time.Time
	took     time.Duration // from the kill until the server knew
	evidence string        // for its loss
	complete bool          // it has the whole journal
}

// kill starts agents one after the other, kills each at an age, and returns what the server
// knows of those that it knew before.
func (w *world) kill(state, name string, age time.Duration, times int) []death {
	var mu sync.Mutex
	var ends []death
	var all sync.WaitGroup
	for n := range times {
		all.Go(func() {
			wait(w.t.Context(), time.Duration(n)*killsApart)
			e, err := w.killOne(state, fmt.Sprintf("%s-%s-%d", name, age, n), age)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case errors.Is(err, errUnknown):
			case err != nil:
				w.t.Errorf("an agent that was killed %s after its start: %v", age, err)
			default:
				ends = append(ends, e)
			}
		})
	}
	all.Wait()
	return ends
}

func (w *world) killOne(state, name string, age time.Duration) (death, error) {
	_, port, _ := strings.Cut(w.server.address, ":")
	cmd, run := w.agentCommand(strings.ReplaceAll(name, " ", "-"), "http://127.0.0.1:"+port, "exec sleep 100000")
	if state != "" {
		cmd.Env = append(cmd.Env, "STINT_STATE="+state)
	}
	if err := cmd.Start(); err != nil {
		return death{}, err
	}
	wait(w.t.Context(), age)
	for begun := time.Now(); age == 0 || !*alive; wait(w.t.Context(), 5*ms) {
		r, err := w.api.Run(w.t.Context(), run)
		// Without a journal it takes a connection that carried two requests.
		if err == nil && (state == "" || r.LastHeartbeatAt != nil) || time.Since(begun) > patience {
			break
		}
	}
	killed := time.Now()
	err := cmd.Process.Kill()
	_ = cmd.Wait() // it was killed
	if err != nil {
		return death{}, err
	}
	d, err := w.awaitLost(run, killed)
	if err == nil && state == "" {
		d.complete = w.hasWhole(run, age)
	}
	return d, err
}

// awaitLost waits until a run is lost. What the server found out by itself has its time; a
// journal has the agent's, so that the time is that at which it was first seen here.
func (w *world) awaitLost(run string, killed time.Time) (death, error) {
	for time.Since(killed) < patience {
		wait(w.t.Context(), 20*ms)
		events, err := w.api.Events(w.t.Context(), run)
		var p *job.Problem
		if errors.As(err, &p) && p.Status == http.StatusNotFound && time.Since(killed) > 5*time.Second {
			return death{}, errUnknown
		}
		i := slices.IndexFunc(events, func(e job.RunEvent) bool { return e.To == string(job.Lost) })
		if err != nil || i < 0 {
			continue
		}
		e := events[i]
		if strings.Contains(e.Evidence, "lease") {
			return death{}, fmt.Errorf("run %s is lost only because %q", run, e.Evidence)
		}
		took := time.Since(killed)
		if e.Clock == "server" {
			took = e.At.Sub(killed)
		}
		return death{run: run, killed: killed, took: took.Round(ms), evidence: e.Evidence}, nil
	}
	return death{}, fmt.Errorf("run %s is not lost after %s", run, patience)
}

// leavesWhole is the age from which on every agent that is killed leaves a whole journal.
const leavesWhole = time.Second

// hasWhole reports whether the server gets the whole journal of an agent that was killed at an age.
// A younger one may leave none.
func (w *world) hasWhole(run string, age time.Duration) bool {
	within := 5 * time.Second
	if age >= leavesWhole {
		within = patience
	}
	for begun := time.Now(); time.Since(begun) < within; wait(w.t.Context(), 100*ms) {
		if r, err := w.api.Run(w.t.Context(), run); err == nil && r.Output.Complete {
			return true
		}
	}
	return false
}
