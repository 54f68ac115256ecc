package faulttest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// receiver is the receiver of notifications. It notes when each run was first named, and in how many messages:
// one that comes again, because its server was killed before it knew that it had arrived, has the
// same id.
type receiver struct {
	t     *testing.T
	mu    sync.Mutex
	first map[string]time.Time
	times map[string]int
	seen  map[string]bool // ids of messages
}

// notified sets a route of a world's server to a receiver of its own.
func (w *world) notified() *receiver {
	w.t.Helper()
	r := &receiver{t: w.t, first: map[string]time.Time{}, times: map[string]int{}, seen: map[string]bool{}}
	service := httptest.NewServer(r)
	w.t.Cleanup(service.Close)
	if _, err := w.api.SetRoute(w.t.Context(), api.Route{Name: "test", URL: service.URL, Enabled: true}); err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (r *receiver) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	now := time.Now()
	var m struct {
		Data struct {
			Items []struct{ Run struct{ ID string } }
		}
	}
	if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
		r.t.Errorf("a notification: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	id := req.Header.Get("webhook-id")
	if id == "" {
		r.t.Error("a notification has no id")
	}
	if r.seen[id] {
		return
	}
	r.seen[id] = true
	for _, item := range m.Data.Items {
		if r.times[item.Run.ID]++; r.times[item.Run.ID] == 1 {
			r.first[item.Run.ID] = now
		}
	}
}

// await waits until a run was named, and returns when.
func (r *receiver) await(run string) time.Time {
	r.t.Helper()
	for begun := time.Now(); time.Since(begun) < patience; wait(r.t.Context(), 10*ms) {
		r.mu.Lock()
		at, named := r.first[run]
		r.mu.Unlock()
		if named {
			return at
		}
	}
	r.t.Fatalf("nobody was notified of run %s within %s", run, patience)
	return time.Time{}
}

// troubled reads the troubled items, as "kind id"; or why it cannot.
func (w *world) troubled() (items []string, err error) {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + w.server.address + "/api/v1/troubled")
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var answer struct{ Items []job.TroubledItem }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("read the troubled items: HTTP %d, %w", resp.StatusCode, err)
	}
	for _, item := range answer.Items {
		items = append(items, item.Kind+" "+item.ID)
	}
	return items, nil
}

func (w *world) nothingTroubled() bool {
	items, err := w.troubled()
	if w.s.has(serverClock) { // which is in trouble for five minutes, whatever else is well
		items = slices.DeleteFunc(items, func(item string) bool { return strings.HasPrefix(item, "clock ") })
	}
	return err == nil && len(items) == 0
}

// eventually waits for something that must come to be, and reports whether it did.
func (w *world) eventually(what string, within time.Duration, is func() bool) bool {
	w.t.Helper()
	for begun := time.Now(); !is(); wait(w.t.Context(), 100*ms) {
		if time.Since(begun) > within || w.t.Context().Err() != nil {
			items, err := w.troubled()
			w.t.Errorf("not so after %s: %s; troubled items: %q, %v", within, what, items, err)
			return false
		}
	}
	return true
}

// hanging is the test of a bucket that hangs.
type hanging struct {
	*world
	receiver *receiver
	steps    int
}

// print is a job that prints more than stays outside of a bucket, and ends with a code.
func (h *hanging) print(code int) (run string) {
	h.t.Helper()
	h.steps++
	script := fmt.Sprintf("%s -seed %d -stdout 300000 -code %d", filepath.Join(programs, "printer"), h.steps, code)
	cmd, run := h.agentCommand(fmt.Sprintf("print-%d", h.steps), h.url(), script)
	cmd.Env = append(cmd.Env, "STINT_FLUSH_TIMEOUT="+patience.String()) // nobody delivers it later
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		h.t.Fatalf("stint run: %v", err)
	}
	return run
}

func (h *hanging) url() string {
	_, port, _ := strings.Cut(h.server.address, ":")
	return "http://127.0.0.1:" + port
}

// A bucket that accepts connections and never answers, before which runs end and fail that are
// to be packed into it and compared with what is in it, holds up no verdict and no
// notification. What could not be done is shown, and done once the bucket answers again.
func TestABucketThatHangs(t *testing.T) {
	long := *hangFor >= time.Minute
	b := startBucket(t)
	h := &hanging{world: openWorldWith(t, "--insecure", func(w *world) []string {
		w.bucket, w.hasty = b, !long // the long test takes the server as it is released
		return []string{"--archive", b.place(), "--allow-private-targets"}
	})}
	h.receiver = h.notified()
	good := h.print(0)
	h.eventually("the good run is in the bucket", patience, func() bool { return len(b.keys(good)) > 0 })
	steady := h.startSteady()

	end, err := b.hang()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	ended := sync.OnceFunc(end)
	defer ended()
	var failed []string
	for range 6 { // more than are diagnosed at the same time
		failed = append(failed, h.fail())
	}
	h.restart(long)
	var killed []string
	for n := 0; n < 3 || time.Since(began) < *hangFor; n++ {
		killed = append(killed, h.killSoon(n, long))
		wait(t.Context(), min(*hangFor/20, 10*time.Second))
	}
	h.eventually("a run that could not be diagnosed is shown", patience, func() bool {
		items, _ := h.troubled() // again in a moment
		return slices.ContainsFunc(items, func(item string) bool { return strings.HasPrefix(item, "diagnose ") })
	})
	if n := len(b.keys("")); n != len(b.keys(good)) {
		t.Errorf("the bucket hung, and has %d objects", n)
	}
	fmt.Printf("hang: %d runs failed and %d agents were killed while the bucket hung for %s\n", len(failed), len(killed), time.Since(began).Round(time.Second))
	ended()
	h.recovered(began, failed)
	h.notifiedOnce(slices.Concat(failed, killed))
	h.checkSteady(steady)
}

// startSteady starts agents that live all the time.
func (h *hanging) startSteady() (runs []string) {
	h.t.Helper()
	for n := range 3 {
		cmd, run := h.agentCommand(fmt.Sprintf("steady-%d", n), h.url(), "while :; do echo working; sleep 1; done")
		if err := cmd.Start(); err != nil {
			h.t.Fatal(err)
		}
		h.t.Cleanup(func() { stopAgent(cmd) })
		runs = append(runs, run)
	}
	return runs
}

// restart kills the server, which must begin again without its bucket.
func (h *hanging) restart(judge bool) {
	h.t.Helper()
	if _, err := h.server.down(syscall.SIGKILL); err != nil {
		h.t.Fatal(err)
	}
	began := time.Now()
	h.server.wantUp()
	took := time.Since(began)
	fmt.Printf("hang: the server began again within %s\n", took.Round(ms))
	if judge && took > 10*time.Second {
		h.t.Errorf("the server began again after %s", took)
	}
}

// fail lets a run fail, of which people are notified soon.
func (h *hanging) fail() string {
	h.t.Helper()
	run := h.print(3)
	ended := time.Now()
	at := h.receiver.await(run)
	fmt.Printf("hang: a run failed, and people were notified %s after the end of its agent\n", at.Sub(ended).Round(ms))
	return run
}

// killSoon kills an agent, and waits until it is lost and people were notified. The times are
// judged on a machine that does nothing else.
func (h *hanging) killSoon(n int, judge bool) string {
	h.t.Helper()
	state := ""
	if n%2 == 1 {
		state = noState // by the end of its connection alone
	}
	d, err := h.killOne(state, fmt.Sprintf("hang-%d", n), time.Second)
	if err != nil {
		h.t.Fatalf("a killed agent: %v", err)
	}
	notified := h.receiver.await(d.run).Sub(d.killed)
	fmt.Printf("hang: an agent was killed, lost after %s, and people were notified after %s\n", d.took, notified.Round(ms))
	if judge && (d.took > 1500*ms || notified > d.took+2*time.Second) {
		h.t.Errorf("an agent was lost %s after it was killed, and people were notified after %s", d.took, notified)
	}
	return d.run
}

// recovered waits until everything is done that could not be while the bucket hung. What failed
// for long rests for as long again.
func (h *hanging) recovered(began time.Time, failed []string) {
	h.t.Helper()
	within := max(2*patience, 2*time.Since(began))
	h.eventually("everything is packed into the bucket", within, func() bool {
		return !slices.ContainsFunc(failed, func(run string) bool { return len(h.bucket.keys(run)) == 0 })
	})
	h.eventually("every run that failed is diagnosed", within, func() bool {
		return !slices.ContainsFunc(failed, func(run string) bool {
			r, err := h.api.Run(h.t.Context(), run)
			return err != nil || r.Diagnosis == nil
		})
	})
	h.eventually("nothing is in trouble", within, h.nothingTroubled)
}

// notifiedOnce checks that people were notified of each run once, and of no other.
func (h *hanging) notifiedOnce(runs []string) {
	h.receiver.mu.Lock()
	defer h.receiver.mu.Unlock()
	for _, run := range runs {
		if n := h.receiver.times[run]; n != 1 {
			h.t.Errorf("people were notified %d times of run %s", n, run)
		}
	}
	if len(h.receiver.times) != len(runs) {
		h.t.Errorf("people were notified of %d runs, want %d", len(h.receiver.times), len(runs))
	}
}

// checkSteady reads the histories of the agents that lived: none was called lost, ever.
func (h *hanging) checkSteady(runs []string) {
	for _, run := range runs {
		r, err := h.api.Run(h.t.Context(), run)
		if err != nil || r.State != job.Running || r.Health != job.Healthy {
			h.t.Errorf("a run that goes on is %s %s, %v", r.State, r.Health, err)
		}
		events, err := h.api.Events(h.t.Context(), run)
		if err != nil || slices.ContainsFunc(events, func(e job.RunEvent) bool { return e.To == string(job.Lost) }) {
			h.t.Errorf("a run that goes on was called lost: %+v, %v", events, err)
		}
	}
}

// stopAgent ends an agent in good order.
func stopAgent(cmd *exec.Cmd) {
	_ = cmd.Process.Signal(syscall.SIGTERM) // an error shows in Wait
	_ = cmd.Wait()                          // its code is that of a job that was stopped
}
