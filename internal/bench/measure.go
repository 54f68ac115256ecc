package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"stint.dev/stint/internal/bench/host"
)

// startup is what is added to a command that does nothing, from before the start to after
// the end. Each round measures all of them one after the other, so that what else the
// machine does meets all alike.
func (b *bench) startup() ([]row, error) {
	const bare = "/bin/true"
	variants := [][]string{
		{bare},
		b.wrapper(b.url, bare),
		b.agent(b.url, bare),
		b.wrapper(b.away, bare),
		b.agent(b.away, bare),
	}
	added := make([][]float64, len(variants))
	for round := range 6*b.rounds + 2 {
		var base float64
		for i, args := range variants {
			if i == 4 { // each begins with an empty spool
				if err := os.RemoveAll(filepath.Join(b.Dir, "state")); err != nil {
					return nil, err
				}
			}
			ms, err := b.Time(args)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				base = ms
			}
			if round >= 2 { // the first ones read the programs from the disk
				added[i] = append(added[i], ms-base)
			}
		}
	}
	return []row{
		{what: "start-up added to /bin/true, server up", unit: "ms", yardstick: median(added[1]), measured: median(added[2]), mostRatio: 1.5},
		{what: "start-up added to /bin/true, server away", unit: "ms", yardstick: median(added[3]), measured: median(added[4]), mostRatio: 1.5},
	}, nil
}

// steady is an attempt in which nothing happens but a heartbeat and a sample each second.
// All runs go side by side: they sleep nearly all of the time.
func (b *bench) steady() ([]row, error) {
	type one struct {
		peak, cpu float64
		err       error
	}
	results := [2]chan one{make(chan one, b.rounds), make(chan one, b.rounds)}
	for round := range b.rounds {
		for i, args := range [][]string{
			b.wrapper(b.url, "sleep", "20"),
			b.agent(b.url, "--heartbeat-period", "1s", "--sample-period", "1s", "sleep", "20"),
		} {
			delay := time.Duration(2*round+i) * time.Second / time.Duration(2*b.rounds)
			go func() {
				<-time.After(delay) // not all in the same instant
				peak, cpu, err := b.life(args, 19*time.Second)
				results[i] <- one{peak, cpu, err}
			}()
		}
	}
	var peak, cpu [2][]float64
	for i, c := range results {
		for range b.rounds {
			r := <-c
			if r.err != nil {
				return nil, r.err
			}
			peak[i], cpu[i] = append(peak[i], r.peak), append(cpu[i], r.cpu)
		}
	}
	return []row{
		{what: "peak memory, heartbeat and sample each 1 s", unit: "MB", yardstick: median(peak[0]), measured: median(peak[1]), mostRatio: 1.6, most: 10},
		{what: "CPU of 20 s of that, with start and end", unit: "ms", yardstick: median(cpu[0]), measured: median(cpu[1]), mostRatio: 1.6},
	}, nil
}

// life runs a command and returns its peak memory, read at a time, in MB, and the CPU
// milliseconds of its whole life and that of its children.
func (b *bench) life(args []string, at time.Duration) (peak, cpu float64, err error) {
	cmd := b.Command(args)
	if err := cmd.Start(); err != nil {
		return 0, 0, err
	}
	<-time.After(at)
	peak, peakErr := host.Field(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid), "VmHWM:")
	if err := cmd.Wait(); err != nil {
		return 0, 0, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	used := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	return peak * 1024 / 1e6, float64(used.Microseconds()) / 1e3, peakErr
}

// sample asks the Go benchmark, which is nearer to the matter.
func (b *bench) sample() ([]row, error) {
	out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkSample$", "-benchtime", "0.3s",
		"-count", strconv.Itoa(b.rounds), "stint.dev/stint/internal/agent/sample").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test -bench: %w\n%s", err, out)
	}
	// BenchmarkSample/cgroup2/processes=50-2  100  123 ns/op  120 cpu-ns/op  60 cpu-ns/process
	figures := map[string][]float64{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		for i := 2; i+1 < len(words) && strings.HasPrefix(words[0], "BenchmarkSample/"); i += 2 {
			if v, err := strconv.ParseFloat(words[i], 64); err == nil {
				name := strings.Split(words[0], "/")
				key := name[1] + " " + strings.SplitN(name[2], "-", 2)[0] + " " + words[i+1]
				figures[key] = append(figures[key], v/1e3)
			}
		}
	}
	var rows []row
	for _, want := range []struct {
		what, key string
		most      float64
	}{
		{"one sample, cgroup v2 with what v1 adds, 1 process", "cgroup2 processes=1 cpu-ns/op", 5},
		{"one sample, cgroup v2 with what v1 adds, 50 processes", "cgroup2 processes=50 cpu-ns/op", 5},
		{"one sample, cgroup v1, 50 processes", "cgroup1 processes=50 cpu-ns/op", 5},
		{"one sample without cgroups, per process of 50", "process_group processes=50 cpu-ns/process", 7},
		{"one sample without cgroups, per process of 500", "process_group processes=500 cpu-ns/process", 7},
	} {
		if len(figures[want.key]) > 0 { // a level that this host lacks is left out
			rows = append(rows, row{what: want.what, unit: "µs", measured: median(figures[want.key]), most: want.most})
		}
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%w:\n%s", host.ErrNoFigure, out)
	}
	return rows, nil
}

// thousand is the agent's CPU beside 1,000 processes, at the default periods.
func (b *bench) thousand() ([]row, error) {
	users := []struct {
		what string
		id   *syscall.Credential
	}{{"CPU beside 1,000 processes", nil}}
	if os.Getuid() == 0 {
		users = append(users, struct {
			what string
			id   *syscall.Credential
		}{"the same without rights to cgroups", &syscall.Credential{Uid: 65534, Gid: 65534}})
	}
	var rows []row
	for _, u := range users {
		share, err := b.besideThousand(u.id)
		if err != nil {
			return nil, err
		}
		rows = append(rows, row{what: u.what, unit: "% of a core", measured: share, most: 1})
	}
	return rows, nil
}

func (b *bench) besideThousand(id *syscall.Credential) (float64, error) {
	state, err := os.MkdirTemp(b.Dir, "state-")
	if err != nil {
		return 0, err
	}
	if id != nil {
		if err := os.Chown(state, int(id.Uid), int(id.Gid)); err != nil {
			return 0, err
		}
	}
	const job = `i=0; while [ $i -lt 1000 ]; do sleep 600 & i=$((i+1)); done; : >"$1"; wait`
	up := filepath.Join(state, "up")
	cmd := b.Command(b.agent(b.url, "--stop-grace", "1s", "--", "sh", "-c", job, "sh", up))
	cmd.Env = append(cmd.Env, "STINT_STATE="+state, "HOME="+state)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: id}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	defer func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it then ends the job
		_ = cmd.Wait()
	}()
	for tries := 0; ; tries++ {
		if _, err := os.Stat(up); err == nil {
			break
		}
		if tries > 300 {
			return 0, fmt.Errorf("1,000 processes did not come up within 30 s: %w", host.ErrNoFigure)
		}
		<-time.After(100 * time.Millisecond)
	}
	<-time.After(2 * time.Second) // beginnings are not the matter
	before, err := host.CPU(cmd.Process.Pid)
	if err != nil {
		return 0, err
	}
	const span = 30 * time.Second
	<-time.After(span)
	after, err := host.CPU(cmd.Process.Pid)
	return 100 * (after - before) / span.Seconds(), err
}
