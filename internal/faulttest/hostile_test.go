package faulttest

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"stint.dev/stint/client"
)

// hostilePlan is how long a client is hostile, and to how many agents of another token.
type hostilePlan struct {
	long   time.Duration // of it half with each attack alone, and half with all at once
	agents int
	every  time.Duration // between two requests of one kind of an agent
	kills  time.Duration // between two kills
	ways   []killWay
	divide int // of the workers of each attack there is one in so many
}

// killWay is which state directory an agent has, and how long after its start it is killed; 0
// is as soon as the server knows its run.
type killWay struct {
	state string
	age   time.Duration
}

// The short form does not kill what is known to be lost by its connection alone: on a busy machine
// the server may be late, and then trusts everybody for a while.
var (
	shortHostile = hostilePlan{long: 8 * time.Second, agents: 6, every: 300 * ms, kills: 4 * time.Second, ways: []killWay{{}}, divide: 8}
	wholeHostile = hostilePlan{agents: 50, every: time.Second, kills: 5 * time.Second, ways: []killWay{{}, {state: noState}, {age: time.Second}, {noState, time.Second}}, divide: 1}
)

// What a hostile client must leave to others, when the test is played in full.
const (
	hostileBeats  = 200 * ms        // 99 of 100 heartbeats
	hostileLost   = 3 * time.Second // until a killed agent is known to be lost
	hostileMemory = 1000            // MB of the server
)

// One token of the scope agent and one of the scope read do their worst, and the agents of
// another token still deliver, live, and are known to be lost when they are killed. The short
// form looks at order and counts alone.
func TestHostileClient(t *testing.T) {
	plan := shortHostile
	if *hostileFor > 0 {
		plan = wholeHostile
		plan.long = *hostileFor
	}
	w := openWorld(t, "--require-token")
	tokens := w.makeTokens("agent", "agent", "read")
	w.agentToken = tokens[0]
	c := startHostile(w, tokens[1], tokens[2], plan.divide)
	v := startVictims(w, plan)
	defer v.stop()
	killing, endKilling := context.WithCancel(v.ctx)
	defer endKilling()
	ends := w.killEvery(killing, plan)

	v.during("no attack", plan.long/10, func() {})
	names := attackNames(t, *hostileOnly)
	alone := plan.long / 2 / time.Duration(len(names))
	for _, name := range names {
		v.during(name, alone, func() { c.attack(name) })
	}
	v.during("all attacks", plan.long/2, func() { c.attack(names...) })
	v.during(afterAttacks, 0, func() {
		c.attack()
		(&liveFleet{world: w, runs: v.runs()}).wantNoneLost() // of those that are still there
	})
	endKilling()
	lost := <-ends // before the others stop too: that would look like the network
	v.stop()
	answers := c.end()

	v.report(lost, answers)
	if len(lost) == 0 {
		t.Error("no agent was killed")
	}
	v.wantWhole()
	if *hostileFor > 0 {
		v.wantTargets(lost)
	}
}

// attackNames are the attacks of a list that commas separate; of an empty one all.
func attackNames(t *testing.T, list string) (names []string) {
	t.Helper()
	for _, a := range attacks {
		if list == "" || slices.Contains(strings.Split(list, ","), a.name) {
			names = append(names, a.name)
		}
	}
	if list != "" && len(names) != len(strings.Split(list, ",")) {
		t.Fatalf("of %q only the attacks %q exist", list, names)
	}
	return names
}

// makeTokens makes a token of each scope with that of the first start.
func (w *world) makeTokens(scopes ...string) (secrets []string) {
	w.t.Helper()
	first, err := os.ReadFile(w.path("data", "admin.token"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.api.Close()
	if w.api, err = client.New(client.Options{URL: w.api.URL(), Token: strings.TrimSpace(string(first))}); err != nil {
		w.t.Fatal(err)
	}
	for i, scope := range scopes {
		made, err := w.api.CreateToken(w.t.Context(), fmt.Sprintf("%s-%d", scope, i), scope, 0, client.TokenWorker{})
		if err != nil {
			w.t.Fatal(err)
		}
		secrets = append(secrets, made.Secret)
	}
	return secrets
}

// killEvery starts agents, kills them in the ways of a plan, and waits until each is lost. The
// channel has the ends when ctx is over.
func (w *world) killEvery(ctx context.Context, plan hostilePlan) <-chan []death {
	out := make(chan []death, 1)
	go func() {
		var mu sync.Mutex
		var ends []death
		var all sync.WaitGroup
		for n := 0; ctx.Err() == nil; n++ {
			way := plan.ways[n%len(plan.ways)]
			all.Go(func() {
				e, err := w.killOne(way.state, fmt.Sprintf("killed-%d", n), way.age)
				if err != nil {
					w.t.Errorf("an agent that was killed %s after its start, with the state directory %q: %v", way.age, way.state, err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				ends = append(ends, e)
			})
			wait(ctx, plan.kills)
		}
		all.Wait()
		out <- ends
	}()
	return out
}

// hostileProcess is the client that attacks: a process of the lowest priority, because in
// practice it runs on another machine.
type hostileProcess struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startHostile(w *world, agent, read string, divide int) *hostileProcess {
	t := w.t
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(w.server.address, ":")
	c := &hostileProcess{t: t, cmd: exec.Command("sh", "-c", `ulimit -n "$(ulimit -H -n)"; exec nice -n 19 "$0"`, self)}
	c.cmd.Env = append(os.Environ(), fmt.Sprintf("%s=127.0.0.1:%s %s %s %d", hostileEnv, port, agent, read, divide))
	c.cmd.Stderr = os.Stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.in.Close() // it ends with it
		_ = c.cmd.Wait()
	})
	return c
}

// attack makes these attacks, and ends those before.
func (c *hostileProcess) attack(names ...string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c.in, strings.Join(names, ",")); err != nil {
		c.t.Fatal(err)
	}
	if line, err := c.out.ReadString('\n'); line != "working\n" {
		c.t.Fatalf("the hostile client answers %q, %v", line, err)
	}
}

// end returns how often each attack was answered with what.
func (c *hostileProcess) end() (answers map[string]map[string]int) {
	c.t.Helper()
	_ = c.in.Close() // an error shows in Decode
	if err := json.NewDecoder(c.out).Decode(&answers); err != nil {
		c.t.Fatalf("the hostile client's answers: %v", err)
	}
	return answers
}

// report prints what the attacks cost the other token's agents.
func (v *victims) report(lost []death, answers map[string]map[string]int) {
	row := func(columns ...any) { fmt.Printf("hostile: %-24s %-26s %-26s %-26s %-16s %v\n", columns...) }
	row("p50, p99, most during", "heartbeats", "appends", "plain server", "server's cores", "answers to the attack")
	for _, s := range v.spans {
		row(s.name, figures(s.beats), figures(s.appends), figures(s.plain), s.cores(), answers[s.name])
	}
	all := v.attacked()
	var took []time.Duration
	for _, e := range lost {
		took = append(took, e.took)
	}
	fmt.Printf("hostile: %d heartbeats: %s, %d tried again; %d appends: %s, %d tried again; plain server: %s\n",
		len(all.beats), figures(all.beats), v.beatsAgain.Load(), len(all.appends), figures(all.appends), v.appendsAgain.Load(), figures(all.plain))
	fmt.Printf("hostile: %d agents killed: lost after %s (p50, p99, most); memory of the server at most %.0f MB\n",
		len(took), figures(took), peakMB(v.server.process().Pid))
}

// wantTargets judges what the attacks cost.
func (v *victims) wantTargets(lost []death) {
	v.t.Helper()
	if took := percentile(v.attacked().beats, 99); took > hostileBeats {
		v.t.Errorf("99 of 100 heartbeats took up to %s, more than %s", took, hostileBeats)
	}
	for _, e := range lost {
		if e.took > hostileLost {
			v.t.Errorf("the agent of run %s, killed at %s, was lost after %s, later than %s: %s",
				e.run, e.killed.UTC().Format(time.RFC3339Nano), e.took, hostileLost, e.evidence)
		}
	}
	if mb := peakMB(v.server.process().Pid); mb > hostileMemory {
		v.t.Errorf("the server had %.0f MB of memory, more than %d", mb, hostileMemory)
	}
}

// percentile is the smallest value that so many in a hundred do not exceed.
func percentile(all []time.Duration, of int) time.Duration {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return s[min(len(s)*of/100, len(s)-1)]
}

func figures(all []time.Duration) string {
	if len(all) == 0 {
		return "none"
	}
	round := func(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
	return fmt.Sprintf("%s, %s, %s", round(percentile(all, 50)), round(percentile(all, 99)), round(slices.Max(all)))
}

// peakMB is the most memory that a process has had.
func peakMB(pid int) float64 {
	text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "status"))
	for line := range strings.Lines(string(text)) {
		var kb float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kb); err == nil && n == 1 {
			return kb * 1024 / 1e6
		}
	}
	return 0
}
