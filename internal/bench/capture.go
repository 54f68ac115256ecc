package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
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
		mostFelt    float64
	}{
		{"job prints 256 MiB in writes of 100 bytes", 256 << 20, 100, 0.6},
		{"job prints 1 GiB in writes of 64 KiB", 1 << 30, 64 << 10, 0.8},
	} {
		var cat, catWhole, ours, whole, cpu, memory []float64
		for range max(1, b.rounds/2) {
			sink, err := b.felt(c.bytes, c.size, func(job []string) []string {
				return append([]string{"sh", "-c", `"$@" | cat > "$0"`, filepath.Join(b.dir, "sink")}, job...)
			})
			if err != nil {
				return nil, err
			}
			kept, err := b.felt(c.bytes, c.size, func(job []string) []string { return b.agent(b.url, job...) })
			if err != nil {
				return nil, err
			}
			cat, catWhole = append(cat, sink.seconds), append(catWhole, sink.whole)
			ours, whole = append(ours, kept.seconds), append(whole, kept.whole)
			cpu = append(cpu, kept.cpu*float64(1<<30)/float64(c.bytes))
			memory = append(memory, kept.memory)
		}
		rows = append(rows,
			row{what: c.what + ": felt by it", unit: "s", yardstick: median(cat), measured: median(ours), mostRatio: c.mostFelt},
			row{what: "… until the server has all of it", unit: "s", yardstick: median(catWhole), measured: median(whole), mostRatio: 2.2},
			row{what: "… CPU of the agent, per GiB", unit: "s", measured: median(cpu), most: 5},
			row{what: "… peak memory of the agent", unit: "MB", measured: median(memory), most: 20})
	}
	return rows, nil
}

// outage is what a job feels of a server that is away or does not answer, against one that
// is there.
func (b *bench) outage() ([]row, error) {
	stalled, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer stalled.Close() // the kernel takes connections, and nobody answers
	urls := []string{b.url, b.away, "http://" + stalled.Addr().String()}
	seconds, memory := make([][]float64, len(urls)), make([][]float64, len(urls))
	for range b.rounds {
		for i, url := range urls {
			m, err := b.felt(256<<20, 64<<10, func(job []string) []string {
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
				row{what: "job prints 256 MiB while the server " + what + ": felt, against a server that is there", unit: "s", yardstick: median(seconds[0]), measured: median(seconds[i]), mostRatio: 1.05},
				row{what: "… peak memory of the agent", unit: "MB", yardstick: median(memory[0]), measured: median(memory[i]), most: 20})
		}
	}
	return rows, nil
}

// printed is how a job that prints went.
type printed struct {
	seconds float64 // that printing took the job
	whole   float64 // seconds until all was over
	cpu     float64 // seconds of what ran it
	memory  float64 // peak of what ran it, in MB
}

// felt runs the printer in something.
func (b *bench) felt(bytes, size int, in func(job []string) []string) (printed, error) {
	var p printed
	for _, old := range []string{"felt", "sink", "state"} { // each begins with a disk as empty as the other's
		if err := os.RemoveAll(filepath.Join(b.dir, old)); err != nil {
			return p, err
		}
	}
	note := filepath.Join(b.dir, "felt")
	args := in([]string{b.program("printer"), strconv.Itoa(bytes), strconv.Itoa(size), note})
	cmd := b.command(args)
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
