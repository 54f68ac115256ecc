package faulttest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/faulttest/extreme"
	"stint.dev/stint/internal/faulttest/sequence"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// besideKinds are the faults that strike one run, or what the server keeps its archive in. Other
// runs live beside them, of which each must be judged in time, and must be whole.
var besideKinds = []kind{bucketHangs, blockDamaged, badHeartbeats}

// serverKinds are the faults in which a server cannot see what happens to an agent.
var serverKinds = []kind{serverKill, bothKill, serverStop, serverPause, serverFull, serverClock, postgresDown}

// besides are the runs beside the one of the schedule. Their agents reach the server directly.
type besides struct {
	*world
	good   []besideRun // have ended, and are packed
	steady string      // goes on to the end
	agent  *exec.Cmd

	working sync.WaitGroup
	mu      sync.Mutex
	count   int
	failed  []besideRun
}

// The jobs of the runs beside. A run that fails is compared with the last good run of its job, whose
// object the server remembers once it has read it: an object that is damaged is one of a job in which
// no other run fails.
const (
	besideJob  = "beside"
	damagedJob = "damaged"
)

// besideRun is a run that was begun while a fault lasted.
type besideRun struct {
	id   string
	seed uint64
}

// besideBytes is so much that it is packed into an object of its own, also when it is packed in
// two steps: what compresses to less than 32 KiB stays in the database.
const besideBytes = 300_000

// prepareBeside begins what is there before the faults.
func (w *world) prepareBeside() {
	if !w.s.has(besideKinds...) {
		return
	}
	b := &besides{world: w}
	w.beside = b
	token, err := w.api.CreateToken(w.t.Context(), "liar", "agent", 0, client.TokenWorker{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.token = token.Secret
	b.succeed(besideJob, w.s.seed+7)
	b.agent, b.steady = b.command("steady", besideJob, "-c", "while :; do echo working; sleep 0.2; done")
	if err := b.agent.Start(); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stopAgent(b.agent) })
	w.eventually("the steady run is known", patience, func() bool { _, err := w.api.Run(w.t.Context(), b.steady); return err == nil })
}

// command is an agent that delivers to the end, in a state directory of its own.
func (b *besides) command(name, inJob string, args ...string) (cmd *exec.Cmd, run string) {
	run = uuid.Must(uuid.NewV7()).String()
	cmd = exec.Command(filepath.Join(programs, "stint-agent"), append([]string{
		"run", "--quiet", "--server", "http://" + b.server.address, "--run-id", run,
		"--job", inJob, "--heartbeat-period", "500ms", "--flush-timeout", patience.String(), "--stop-grace", "1s",
	}, args...)...)
	cmd.Env = append(b.environment("none"), "STINT_STATE="+b.path("beside-"+name))
	cmd.Dir = b.path("home")
	return cmd, run
}

// print runs a job that prints and ends with a code, until its journal is delivered.
func (b *besides) print(inJob string, code int, seed uint64) besideRun {
	b.mu.Lock()
	b.count++
	name := fmt.Sprint(b.count) // its state directory, see flush
	b.mu.Unlock()
	cmd, run := b.command(name, inJob, "--", filepath.Join(programs, "printer"), "-seed", fmt.Sprint(seed), "-stdout", fmt.Sprint(besideBytes), "-code", fmt.Sprint(code))
	if err := cmd.Run(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code {
		b.t.Errorf("a run beside: %v", err)
	}
	return besideRun{run, seed}
}

// succeed runs a job that succeeds, and waits until it is packed.
func (b *besides) succeed(inJob string, seed uint64) {
	one := b.print(inJob, 0, seed)
	b.good = append(b.good, one)
	if b.bucket != nil || !b.s.postgres {
		b.eventually("a good run beside is packed", patience, func() bool { return len(b.objects(one.id)) > 0 })
	}
}

// fail runs a job that fails, beside a fault: it is to be compared with the good run, and packed.
func (b *besides) fail(inJob string, n int) besideRun {
	one := b.print(inJob, 3, b.s.seed+uint64(n))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failed = append(b.failed, one)
	return one
}

// begin lets runs fail and an agent be killed while a fault lasts.
func (b *besides) begin(n int) {
	b.working.Go(func() { b.fail(besideJob, n) })
	if b.s.has(serverKinds...) {
		return // a server that is away sees nothing
	}
	b.working.Go(func() {
		d, err := b.killOne("", fmt.Sprintf("victim-%d", n), 300*ms)
		switch {
		case errors.Is(err, errUnknown):
		case err != nil:
			b.t.Errorf("an agent that was killed beside a fault: %v", err)
		default:
			b.record("an agent beside was killed, and lost after %s", d.took)
			tally.judged.Add(1)
		}
	})
}

// objects are the archive's objects of a run: keys of the bucket, or files that are whole.
func (b *besides) objects(run string) (all []string) {
	if b.bucket != nil {
		return b.bucket.keys(run)
	}
	_ = filepath.WalkDir(b.path("data", "archive"), func(path string, d os.DirEntry, err error) error { // not there yet: none
		if err == nil && d.Type().IsRegular() && strings.Contains(path, run) && !strings.HasPrefix(d.Name(), ".partial-") {
			all = append(all, path)
		}
		return nil
	})
	return all
}

// damage spoils the object of the last good run, lets a run fail that is compared with it, and
// returns how to repair it, once the server has shown its trouble.
func (b *besides) damage(n int) (undo func() error, err error) {
	inJob := besideJob
	if !b.s.has(serverKinds...) { // a server that is away packs nothing
		inJob = damagedJob
		b.succeed(inJob, b.s.seed+8)
	}
	objects := b.objects(b.good[len(b.good)-1].id)
	if len(objects) == 0 {
		return nil, errors.New("the run before has no object")
	}
	repair := func() error { return nil }
	if b.bucket != nil {
		repair, err = b.bucket.damage(objects[0])
	} else {
		repair, err = damageFile(objects[0])
	}
	if err != nil {
		return nil, err
	}
	b.begin(n + 1)
	one := make(chan besideRun, 1)
	b.working.Go(func() { one <- b.fail(inJob, n) })
	return func() error {
		item := "diagnose " + (<-one).id
		if b.s.has(serverKinds...) {
			return repair() // it may not know the run yet
		}
		b.eventually("what cannot be compared is shown", patience, func() bool {
			items, _ := b.troubled() // the server may be away for a moment
			return slices.Contains(items, item)
		})
		return repair()
	}, nil
}

func damageFile(path string) (repair func() error, err error) {
	whole, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	put := func(data []byte) error {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return err
		}
		_, err = f.WriteAt(data, 0)
		return errors.Join(err, f.Close())
	}
	return func() error { return put(whole) }, put(flipped(whole))
}

// lie sends heartbeats with extreme figures, with a valid token and for a run of its own, until
// the undo is called.
func (b *besides) lie(n int) (undo func() error, err error) {
	docs, err := extreme.Documents(job.Heartbeat{Sequence: 7, UptimeMS: 5000, Processes: 1, MemoryBytes: 1000, PeriodMS: 500, SentAt: time.Now()})
	if err != nil {
		return nil, err
	}
	run := uuid.Must(uuid.NewV7()).String()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err == nil {
		err = errors.Join(
			w.AppendJSON(journal.TypeAttempt, time.Now(), journal.Attempt{Run: run, Attempt: 1, Job: "liar", Args: []string{"x"}, Host: "h", AgentVersion: "faults", HeartbeatPeriodMS: 500}),
			w.AppendJSON(journal.TypeStepStarted, time.Now(), journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "x", PID: 1}))
	}
	if err != nil {
		return nil, err
	}
	end := make(chan struct{})
	b.working.Go(func() {
		path := "http://" + b.server.address + "/api/v1/runs/" + run + "/attempts/1/"
		b.post(path+"journal?offset=0", buf.Bytes())
		for i := n; ; i++ {
			select {
			case <-end:
				return
			case <-time.After(5 * ms):
				b.post(path+"heartbeat", []byte(docs[i%len(docs)].Text))
			}
		}
	})
	return func() error { close(end); return nil }, nil
}

// post sends something that may be refused, but must not make a server fail.
func (b *besides) post(url string, body []byte) {
	c := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		b.t.Error(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+b.token)
	resp, err := c.Do(req)
	if err != nil {
		return // the server is away
	}
	text, _ := io.ReadAll(resp.Body) // what came
	resp.Body.Close()
	if resp.StatusCode >= 500 && !b.s.has(serverKinds...) || resp.StatusCode == http.StatusUnauthorized {
		b.t.Errorf("a heartbeat %.300s: HTTP %d %s", body, resp.StatusCode, text)
	}
}

// checkBeside looks at the runs beside, once all is well.
func (w *world) checkBeside() {
	b := w.beside
	if b == nil {
		return
	}
	b.working.Wait()
	b.flush()
	w.eventually("every run that failed beside is diagnosed", patience, func() bool {
		return !slices.ContainsFunc(b.failed, func(one besideRun) bool {
			r, err := w.api.Run(w.t.Context(), one.id)
			return err != nil || r.Diagnosis == nil
		})
	})
	w.eventually("nothing is in trouble any more", patience, w.nothingTroubled)
	for _, one := range b.failed {
		b.whole(one, job.Failed)
	}
	for _, one := range b.good {
		b.whole(one, job.Succeeded)
	}
	events, err := w.api.Events(w.t.Context(), b.steady)
	if err != nil {
		w.t.Errorf("the events of the steady run: %v", err)
	}
	for _, e := range events {
		if e.To == string(job.Lost) {
			w.t.Errorf("the steady run was called lost: %s", e.Evidence)
		}
	}
	_ = b.agent.Process.Signal(syscall.SIGTERM) // an error shows in Wait
}

// flush delivers what agents left that did not reach the server, which was away.
func (b *besides) flush() {
	for n := range b.count {
		cmd := exec.CommandContext(b.t.Context(), filepath.Join(programs, "stint-agent"), "flush", "--server", "http://"+b.server.address)
		cmd.Env = append(b.environment("none"), "STINT_STATE="+b.path(fmt.Sprint("beside-", n+1)))
		if out, err := cmd.CombinedOutput(); err != nil {
			b.t.Errorf("flush of agent %d beside: %v: %s", n+1, err, out)
		}
	}
}

// whole checks state and log of a run that ended by itself.
func (b *besides) whole(one besideRun, state job.State) {
	r, err := b.api.Run(b.t.Context(), one.id)
	if err != nil || r.State != state || !r.Output.Complete {
		b.t.Errorf("run %s beside: %s, complete %v, %v; want %s", one.id, r.State, r.Output.Complete, err, state)
		return
	}
	want, got := sequence.Bytes(one.seed, "stdout", besideBytes), b.logOf(one.id, 0, job.Stdout)
	if !bytes.Equal(want, got) {
		b.t.Errorf("run %s beside: its log differs at byte %d of %d", one.id, difference(want, got), len(want))
	}
	tally.compared.Add(int64(len(got)))
}
