package faulttest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"stint.dev/stint/internal/faulttest/sequence"
	"stint.dev/stint/job"
)

// shortJob is a job that prints and fails within milliseconds.
type shortJob struct {
	run  string
	seed uint64
	plan jobPlan
	exit int // of its agent; -1 if that did not start
}

// Jobs of 1 to 50 ms that print and fail, with a server that is away, that is restarted each
// second, or that comes and goes at random: each ends as failed with its own exit code, its
// output is whole, and none is called lost.
func TestShortJobs(t *testing.T) {
	for _, away := range []struct {
		name    string
		outages func(w *world, random *rand.Rand, end <-chan struct{}) error
	}{
		{"no server", absent},
		{"the server is restarted each second", restartedEachSecond},
		{"the server comes and goes", comesAndGoes},
	} {
		t.Run(away.name, func(t *testing.T) {
			seed := uint64(time.Now().UnixNano())
			if *firstSeed != 0 {
				seed = *firstSeed
			}
			w := newWorld(t, schedule{seed: seed, route: direct}, newSlot())
			end, outages := make(chan struct{}), make(chan error, 1)
			go func() { outages <- away.outages(w, rand.New(rand.NewPCG(seed, 1)), end) }()
			jobs := runShortJobs(w, *shortJobs, seed)
			close(end)
			if err := <-outages; err != nil {
				t.Fatal(err)
			}
			w.server.wantUp()
			w.flushAll()
			report := w.checkShortJobs(jobs)
			fmt.Printf("short jobs: %s, seed %d: %s\n", away.name, seed, report)
		})
	}
}

func absent(w *world, _ *rand.Rand, end <-chan struct{}) error {
	if _, err := w.server.down(syscall.SIGTERM); err != nil {
		return err
	}
	<-end
	return w.server.up()
}

func restartedEachSecond(w *world, _ *rand.Rand, end <-chan struct{}) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-end:
			return nil
		case <-tick.C:
		}
		if _, err := w.server.down(syscall.SIGKILL); err != nil {
			return err
		}
		if err := w.server.up(); err != nil {
			return err
		}
	}
}

func comesAndGoes(w *world, random *rand.Rand, end <-chan struct{}) error {
	for {
		how := []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM}[random.IntN(2)]
		if _, err := w.server.down(how); err != nil {
			return err
		}
		select {
		case <-end:
			return w.server.up()
		case <-time.After(time.Duration(random.IntN(500)) * ms):
		}
		if err := w.server.up(); err != nil {
			return err
		}
		select {
		case <-end:
			return nil
		case <-time.After(time.Duration(random.IntN(500)) * ms):
		}
	}
}

// runShortJobs runs jobs under real agents, some at the same time, in one state directory.
func runShortJobs(w *world, count int, seed uint64) []*shortJob {
	jobs := make([]*shortJob, count)
	var next atomic.Int64
	var workers sync.WaitGroup
	for range *sideBySide {
		workers.Go(func() {
			for i := next.Add(1) - 1; i < int64(count); i = next.Add(1) - 1 {
				jobs[i] = w.runShortJob(seed + uint64(i))
			}
		})
	}
	workers.Wait()
	return jobs
}

func (w *world) runShortJob(seed uint64) *shortJob {
	random := rand.New(rand.NewPCG(seed, 2))
	one := &shortJob{run: uuid.Must(uuid.NewV7()).String(), seed: seed, exit: -1, plan: jobPlan{
		stdout: 1 + random.IntN(20_000), stderr: random.IntN(500), code: 1 + random.IntN(120),
		during: time.Duration(1+random.IntN(50)) * ms, quiet: true,
	}}
	cmd := exec.Command(filepath.Join(programs, "stint-agent"), "run", "--quiet", "--server", w.agentURL, "--run-id", one.run, "--job", "short",
		"--flush-timeout", []string{"0s", "30s"}[random.IntN(2)], "--", filepath.Join(programs, "printer"), "-seed", fmt.Sprint(seed),
		"-stdout", fmt.Sprint(one.plan.stdout), "-stderr", fmt.Sprint(one.plan.stderr), "-during", one.plan.during.String(), "-code", fmt.Sprint(one.plan.code))
	cmd.Env, cmd.Dir = w.environment("agent.clock"), w.path("home")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		w.t.Errorf("run %s: %v", one.run, err)
		return one
	}
	_ = cmd.Wait() // the exit code is compared
	if one.exit = cmd.ProcessState.ExitCode(); one.exit != one.plan.code || strings.Contains(errs.String(), "corrupt") {
		w.t.Errorf("run %s, seed %d: the agent ended with %d, the job with %d: %s", one.run, seed, one.exit, one.plan.code, errs.Bytes())
	}
	return one
}

// checkShortJobs compares what the server knows with what each job did.
func (w *world) checkShortJobs(jobs []*shortJob) string {
	count := map[job.State]int{}
	compared := 0
	for _, one := range jobs {
		w.run, w.s.seed, w.s.job = one.run, one.seed, one.plan
		r, err := w.api.Run(w.t.Context(), one.run)
		if err != nil {
			w.t.Errorf("run %s, seed %d: %v", one.run, one.seed, err)
			continue
		}
		count[r.State]++
		w.checkOutcome(r, false, true)
		w.checkJournal(r)
		w.checkEvents(r)
		for stream, size := range map[job.Stream]int{job.Stdout: one.plan.stdout, job.Stderr: one.plan.stderr} {
			want, got := sequence.Bytes(one.seed, string(stream), size), w.log(0, stream)
			if !bytes.Equal(want, got) {
				w.t.Errorf("run %s, seed %d: %s differs at byte %d of %d", one.run, one.seed, stream, difference(want, got), size)
			}
			compared += len(got)
		}
	}
	if left := w.spooled(); len(left) > 0 {
		w.t.Errorf("the spool still holds %v", left)
	}
	return fmt.Sprintf("%d jobs, %d failed as they did, %d lost, %d bytes compared", len(jobs), count[job.Failed], count[job.Lost], compared)
}
