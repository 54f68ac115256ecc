package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// capture is what a job feels of its output being kept: how long printing takes it, against
// printing into a pipe that cat writes to a file.
func (b *bench) capture() ([]row, error) {
	var rows []row
	for _, c := range []struct {
		what        string
		bytes, size int
		rounds      int
		mostRatio   float64
	}{
		// Twice the rounds: cat takes either 0.7 or 1.4 s here, hardly anything between.
		{"job prints 256 MiB in writes of 100 bytes", 256 << 20, 100, 2*b.rounds + 1, 0.6},
		{"job prints 1 GiB in writes of 64 KiB", 1 << 30, 64 << 10, b.rounds, 0.8},
	} {
		var cat, least, ours []printed
		for range c.rounds {
			for _, in := range []struct {
				all *[]printed
				job func(job []string) []string
			}{
				{&cat, b.into(`cat > "$0"`, "sink")},
				{&least, b.into(`"$0"`, "reader")},
				{&ours, func(job []string) []string { return b.agent(b.url, job...) }},
			} {
				p, err := b.print(c.bytes, c.size, in.job)
				if err != nil {
					return nil, err
				}
				*in.all = append(*in.all, p)
			}
		}
		catTimes, perGiB := all(cat, printed.duration), float64(1<<30)/float64(c.bytes)
		rows = append(rows,
			row{what: fmt.Sprintf("%s: time of the job (`cat`: %.2f to %.2f s)", c.what, slices.Min(catTimes), slices.Max(catTimes)), unit: "s", yardstick: median(catTimes), measured: median(all(ours, printed.duration)), mostRatio: c.mostRatio},
			row{what: "… against a reader that discards it", unit: "s", yardstick: median(all(least, printed.duration)), measured: median(all(ours, printed.duration))},
			row{what: "… until the server has all of it", unit: "s", yardstick: median(all(cat, printed.until)), measured: median(all(ours, printed.until)), mostRatio: 2.2},
			row{what: "… CPU of the agent, per GiB", unit: "s", measured: perGiB * median(all(ours, printed.used)), most: 5},
			row{what: "… peak memory of the agent", unit: "MB", measured: median(all(ours, printed.peak)), most: 20})
	}
	return rows, nil
}

// into pipes a job into a shell's command, which has a file of the benchmark as $0.
func (b *bench) into(command, file string) func(job []string) []string {
	return func(job []string) []string {
		return append([]string{"sh", "-c", `"$@" | ` + command, filepath.Join(b.Dir, file)}, job...)
	}
}

func all(of []printed, figure func(printed) float64) []float64 {
	figures := make([]float64, len(of))
	for i, p := range of {
		figures[i] = figure(p)
	}
	return figures
}

// outage measures how much longer a job takes when the server is away or does not answer, against one
// that answers.
func (b *bench) outage() ([]row, error) {
	stalled, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer stalled.Close() // the kernel accepts connections, and no process answers
	urls := []string{b.url, b.away, "http://" + stalled.Addr().String()}
	seconds, memory := make([][]float64, len(urls)), make([][]float64, len(urls))
	for range b.rounds {
		for i, url := range urls {
			m, err := b.print(256<<20, 64<<10, func(job []string) []string {
				return b.agent(url, append([]string{"--flush-timeout", "1ms"}, job...)...)
			})
			if err != nil {
				return nil, err
			}
			seconds[i], memory[i] = append(seconds[i], m.seconds), append(memory[i], m.memory)
		}
	}
	var rows []row
	for i, what := range []string{"", "is away", "does not answer"} {
		if i > 0 {
			rows = append(rows,
				row{what: "job prints 256 MiB while the server " + what + ": time of the job, against a server that answers", unit: "s", yardstick: median(seconds[0]), measured: median(seconds[i]), mostRatio: 1.05},
				row{what: "… peak memory of the agent", unit: "MB", yardstick: median(memory[0]), measured: median(memory[i]), most: 20})
		}
	}
	return rows, nil
}

// printed has the times and the memory of a job that prints.
type printed struct {
	seconds float64 // that printing took the job
	whole   float64 // seconds until the server had all
	cpu     float64 // seconds of the process that ran it
	memory  float64 // peak of that process, in MB
}

func (p printed) duration() float64 { return p.seconds }
func (p printed) until() float64    { return p.whole }
func (p printed) used() float64     { return p.cpu }
func (p printed) peak() float64     { return p.memory }

// print runs the printer under the command that in returns.
func (b *bench) print(bytes, size int, in func(job []string) []string) (printed, error) {
	var p printed
	for _, old := range []string{"output", "sink", "state"} { // each begins with a disk as empty as the other's
		if err := os.RemoveAll(filepath.Join(b.Dir, old)); err != nil {
			return p, err
		}
	}
	note := filepath.Join(b.Dir, "output")
	args := in([]string{b.Program("printer"), strconv.Itoa(bytes), strconv.Itoa(size), note})
	cmd := b.Command(args)
	begun := time.Now()
	if err := cmd.Run(); err != nil {
		return p, fmt.Errorf("%s: %w", strings.Join(args, " "), err)
	}
	p.whole = time.Since(begun).Seconds()
	text, err := os.ReadFile(note)
	if err != nil {
		return p, fmt.Errorf("the printer's time: %w", err)
	}
	var own float64
	if _, err := fmt.Sscan(string(text), &p.seconds, &own); err != nil {
		return p, fmt.Errorf("the printer's time %q: %w", text, err)
	}
	p.cpu = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds() - own
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.memory = float64(used.Maxrss) * 1024 / 1e6
	}
	return p, nil
}
