package faulttest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/faulttest/sequence"
	"stint.dev/stint/job"
)

// A server and its agents at work for long, with readers and restarts: nothing grows on
// either side, and nothing is lost. -soak says for how long; without it this is a trial of
// the test itself, in which only a coarse leak would show.
func TestSoak(t *testing.T) {
	long := *soakFor
	if long == 0 {
		long = 12 * time.Second
	}
	k := &soak{world: newWorld(t, schedule{seed: 1, route: direct}, newSlot()), long: long}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	steady := []*soakJob{
		k.begin("steady", 1, int(long.Seconds()*2000), long, true),  // a line now and then
		k.begin("chatty", 2, int(long.Seconds()*60000), long, true), // 60 kB/s
	}
	for n := range 4 {
		all.Go(func() { k.lightJobs(ctx, n) })
	}
	for range 3 {
		all.Go(func() { k.read(ctx, steady[1].run) })
	}
	all.Go(func() { k.lists(ctx, steady[1].run) })
	k.restart(long / 8)
	k.restart(long / 8)
	k.watch(steady)
	cancel()
	all.Wait()
	for _, j := range steady {
		k.release(j)
		k.finish(j)
	}
	fmt.Printf("soak: %s, %d light jobs, %d bytes read live, %d lists and windows, 2 restarts\n",
		long, k.jobs.Load(), k.live.Load(), k.asked.Load())
}

type soak struct {
	*world
	long              time.Duration
	jobs, live, asked atomic.Int64
	number            atomic.Int64
	// restarting is held while the server restarts, and shared by callers that must have its answer.
	restarting sync.RWMutex
}

// soakJob is a run of the printer under an agent.
type soakJob struct {
	name  string
	seed  uint64
	size  int
	run   string
	cmd   *exec.Cmd
	state string
}

// begin starts a job that prints for a time; one that is held goes on until release.
func (k *soak) begin(name string, seed uint64, size int, during time.Duration, held bool) *soakJob {
	j := &soakJob{name: name, seed: seed, size: size, state: k.path("state-" + strconv.FormatInt(k.number.Add(1), 10))}
	j.run = fmt.Sprintf("0193c000-0000-7000-8000-%06d%06d", os.Getpid()%1_000_000, k.number.Add(1))
	j.cmd = exec.Command(filepath.Join(programs, "stint-agent"), "run", "--server", "http://"+k.server.address, "--run-id", j.run,
		"--job", name, "--heartbeat-period", "1s", "--sample-period", "1s", "--quiet", "--flush-timeout", patience.String(), "--")
	if held {
		j.cmd.Args = append(j.cmd.Args, "sh", "-c", `"$@" && until test -e "$0"; do sleep 0.2; done`, k.released(j))
	}
	j.cmd.Args = append(j.cmd.Args, filepath.Join(programs, "printer"), "-seed", fmt.Sprint(seed), "-stdout", fmt.Sprint(size), "-most", fmt.Sprint(max(1, size/200)), "-during", during.String())
	j.cmd.Env = append(k.environment("agent.clock"), "STINT_STATE="+j.state)
	j.cmd.Stderr = os.Stderr
	if err := j.cmd.Start(); err != nil {
		k.t.Error(err)
	} else if held {
		k.t.Cleanup(func() { stopAgent(j.cmd) })
	}
	return j
}

// released is the file whose presence lets a held job end.
func (k *soak) released(j *soakJob) string { return k.path("marks", j.name) }

func (k *soak) release(j *soakJob) {
	if err := os.WriteFile(k.released(j), nil, 0o644); err != nil {
		k.t.Error(err)
	}
}

// finish waits for a job and compares its log. An agent that the server did not answer once waits
// for a second at most: what it leaves is delivered here.
func (k *soak) finish(j *soakJob) {
	if err := j.cmd.Wait(); err != nil {
		k.t.Errorf("job %s: %v", j.name, err)
	}
	k.restarting.RLock()
	defer k.restarting.RUnlock()
	cmd := exec.Command(filepath.Join(programs, "stint-agent"), "flush", "--server", "http://"+k.server.address)
	cmd.Env = append(k.environment("agent.clock"), "STINT_STATE="+j.state)
	if out, err := cmd.CombinedOutput(); err != nil {
		k.t.Errorf("flush after job %s: %v: %s", j.name, err, out)
	}
	var log bytes.Buffer
	if err := k.api.Log(context.Background(), &log, j.run, client.LogQuery{}, false); err != nil {
		k.t.Errorf("log of %s: %v", j.name, err)
		return
	}
	if want := sequence.Bytes(j.seed, "stdout", j.size); !bytes.Equal(log.Bytes(), want) {
		k.t.Errorf("job %s: %d of %d bytes, differing at byte %d", j.name, log.Len(), len(want), difference(want, log.Bytes()))
	}
	r, err := k.api.Run(context.Background(), j.run)
	if err != nil || r.State != job.Succeeded || !r.Output.Complete {
		k.t.Errorf("job %s: %s, %+v, %v", j.name, r.State, r.Output, err)
	}
	if err := os.RemoveAll(j.state); err != nil {
		k.t.Error(err)
	}
}

// lightJobs runs short jobs one after the other.
func (k *soak) lightJobs(ctx context.Context, worker int) {
	for n := 0; ctx.Err() == nil; n++ {
		seed := uint64(1000*worker + n + 10)
		j := k.begin(fmt.Sprintf("light-%d", worker), seed, 1000+int(seed*7919%60000), time.Duration(300+seed*31%1500)*ms, false)
		k.finish(j)
		k.jobs.Add(1)
		wait(ctx, k.long/600)
	}
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// read follows the chatty run live, for a while, again and again.
func (k *soak) read(ctx context.Context, run string) {
	for ctx.Err() == nil {
		some, cancel := context.WithTimeout(ctx, max(2*time.Second, k.long/40))
		_ = k.api.Follow(some, run, client.LogQuery{Tail: 10}, func(e client.StreamEvent) error { // until its time is up
			k.live.Add(int64(len(e.Data)))
			return nil
		}, nil)
		cancel()
		wait(ctx, 200*ms)
	}
}

// lists asks what a page asks.
func (k *soak) lists(ctx context.Context, run string) {
	paths := []string{
		"/api/v1/runs?limit=50", "/api/v1/runs?state=running", "/api/v1/jobs",
		"/api/v1/runs/" + run, "/api/v1/runs/" + run + "/log?tail=100", "/api/v1/runs/" + run + "/samples?points=200",
	}
	for n := 0; ctx.Err() == nil; n++ {
		resp, err := http.Get("http://" + k.server.address + paths[n%len(paths)])
		if err == nil { // else it is being restarted
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			k.asked.Add(1)
		}
		wait(ctx, 300*ms)
	}
}

// restart lets some time pass and then restarts the server, as a deployment does.
func (k *soak) restart(after time.Duration) {
	<-time.After(after)
	k.restarting.Lock()
	defer k.restarting.Unlock()
	if _, err := k.server.down(syscall.SIGTERM); err != nil {
		k.t.Error(err)
	}
	k.server.wantUp()
}

// watch reads the figures of server and steady agents, as often as fits in five eighths of the
// time on a machine that keeps up, and judges them.
func (k *soak) watch(agents []*soakJob) {
	series := map[string][]float64{}
	<-time.After(k.long / 8) // what is new to the server warms up
	pids := map[string]int{"server": k.server.process().Pid}
	for _, j := range agents {
		pids[j.name] = j.cmd.Process.Pid
	}
	step := max(100*ms, k.long/400)
	for range k.long * 5 / 8 / step {
		for name, pid := range pids {
			if gone(pid) {
				k.t.Fatalf("%s has ended", name)
			}
			series[name+" memory, MB"] = append(series[name+" memory, MB"], residentMB(pid))
			series[name+" descriptors"] = append(series[name+" descriptors"], float64(entries(pid, "fd")))
			series[name+" threads"] = append(series[name+" threads"], float64(entries(pid, "task")))
		}
		n, err := k.goroutines()
		if err != nil {
			k.t.Fatal(err)
		}
		series["server goroutines"] = append(series["server goroutines"], n)
		<-time.After(step)
	}
	for name, s := range series {
		constant := 8.0
		if strings.HasSuffix(name, "memory, MB") && name[:6] != "server" {
			constant = 2
		}
		if *soakFor == 0 {
			constant *= 4
		}
		if err := growth(name, s, 0.1, constant); err != nil {
			k.t.Error(err)
		}
		if len(s) > 0 {
			fmt.Printf("soak: %s: %.4g at first, %.4g in the end, %d readings\n", name, middle(s[:len(s)/3+1]), middle(s[len(s)-len(s)/3-1:]), len(s))
		}
	}
}

func residentMB(pid int) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if words := strings.Fields(string(text)); err == nil && len(words) > 1 {
		pages, _ := strconv.ParseFloat(words[1], 64) // the kernel's own number
		return pages * float64(os.Getpagesize()) / 1e6
	}
	return 0
}

func entries(pid int, dir string) int {
	list, _ := os.ReadDir(fmt.Sprintf("/proc/%d/%s", pid, dir)) // gone: none
	return len(list)
}

// goroutines asks the server for its own figure.
func (k *soak) goroutines() (float64, error) {
	resp, err := http.Get("http://" + k.server.address + "/metrics")
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == "go_goroutines" {
			return strconv.ParseFloat(words[1], 64)
		}
	}
	return 0, fmt.Errorf("/metrics has no go_goroutines")
}
