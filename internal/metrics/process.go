package metrics

import (
	"io"
	"os"
	"runtime"
	runtimemetrics "runtime/metrics"
	"strconv"
	"strings"
)

// userHZ is how many ticks a second has in files of the kernel: 100 on every platform.
const userHZ = 100

// WriteProcess writes the figures of this process that Prometheus names for every program.
// Where the system has no /proc, there are none.
func WriteProcess(w io.Writer) {
	w = WithHelp(w, processHelp)
	data, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return
	}
	if stat, ok := parseStat(string(data)); ok {
		Write(w, "process_cpu_seconds_total", "counter", Sample{Value: stat.cpuSeconds})
		Write(w, "process_num_threads", "gauge", Sample{Value: stat.threads})
		Write(w, "process_resident_memory_bytes", "gauge", Sample{Value: stat.residentPages * float64(os.Getpagesize())})
		Write(w, "process_virtual_memory_bytes", "gauge", Sample{Value: stat.virtualBytes})
		if data, err := os.ReadFile("/proc/stat"); err == nil {
			if boot, ok := bootTime(string(data)); ok {
				Write(w, "process_start_time_seconds", "gauge", Sample{Value: boot + stat.startSeconds})
			}
		}
	}
	if open, err := os.ReadDir("/proc/self/fd"); err == nil {
		Write(w, "process_open_fds", "gauge", Sample{Value: float64(len(open) - 1)}) // without the one that lists them
	}
	if data, err := os.ReadFile("/proc/self/limits"); err == nil {
		if most, ok := openLimit(string(data)); ok {
			Write(w, "process_max_fds", "gauge", Sample{Value: most})
		}
	}
}

var processHelp = map[string]string{
	"process_cpu_seconds_total":     "CPU time of the process, in user and system mode.",
	"process_num_threads":           "Threads of the process.",
	"process_resident_memory_bytes": "Memory of the process that is resident.",
	"process_virtual_memory_bytes":  "Virtual memory of the process.",
	"process_start_time_seconds":    "When the process started, in seconds since 1970.",
	"process_open_fds":              "Open files of the process.",
	"process_max_fds":               "Files that the process may have open.",
}

// processStat is what the kernel counts of a process.
type processStat struct {
	cpuSeconds, threads, startSeconds, virtualBytes, residentPages float64
}

// parseStat reads /proc/PID/stat. The program's name, in parentheses, may hold anything.
func parseStat(text string) (processStat, bool) {
	fields := strings.Fields(text[strings.LastIndex(text, ")")+1:])
	const first = 3 // proc(5) counts from 1, and the name is the second field
	field := func(n int) float64 {
		v, err := strconv.ParseFloat(fields[n-first], 64)
		if err != nil {
			return 0
		}
		return v
	}
	if len(fields) <= 24-first {
		return processStat{}, false
	}
	return processStat{
		cpuSeconds: (field(14) + field(15)) / userHZ, threads: field(20),
		startSeconds: field(22) / userHZ, virtualBytes: field(23), residentPages: field(24),
	}, true
}

// bootTime reads /proc/stat: seconds since 1970.
func bootTime(text string) (float64, bool) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "btime "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			return v, err == nil
		}
	}
	return 0, false
}

// openLimit reads /proc/PID/limits: how many files may be open.
func openLimit(text string) (float64, bool) {
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, "Max open files"); ok {
			if fields := strings.Fields(value); len(fields) > 0 {
				v, err := strconv.ParseFloat(fields[0], 64)
				return v, err == nil
			}
		}
	}
	return 0, false
}

// ofRuntime are the figures of the Go runtime, by their names in package runtime/metrics.
var ofRuntime = []struct{ from, name, kind, help string }{
	{"/sched/goroutines:goroutines", "go_goroutines", "gauge", "Goroutines that exist."},
	{"/sched/gomaxprocs:threads", "go_gomaxprocs", "gauge", "Threads that may run Go code at the same time."},
	{"/sync/mutex/wait/total:seconds", "go_mutex_wait_seconds_total", "counter", "Time that goroutines waited for locks."},
	{"/gc/cycles/total:gc-cycles", "go_gc_cycles_total", "counter", "Garbage collections that are completed."},
	{"/cpu/classes/gc/total:cpu-seconds", "go_gc_cpu_seconds_total", "counter", "CPU time of garbage collections, as the runtime estimates it."},
	{"/gc/gomemlimit:bytes", "go_memlimit_bytes", "gauge", "Memory limit of the Go runtime (GOMEMLIMIT)."},
	{"/gc/heap/allocs:bytes", "go_memstats_alloc_bytes_total", "counter", "Bytes that were allocated on the heap, also those that are freed."},
	{"/memory/classes/heap/objects:bytes", "go_memstats_alloc_bytes", "gauge", "Bytes of objects on the heap, and of dead ones that are not freed yet."},
	{"/gc/heap/objects:objects", "go_memstats_heap_objects", "gauge", "Objects on the heap."},
	{"/gc/heap/goal:bytes", "go_memstats_next_gc_bytes", "gauge", "Size of the heap that the next garbage collection is to keep below."},
	{"/memory/classes/heap/stacks:bytes", "go_memstats_stack_inuse_bytes", "gauge", "Memory of stacks."},
	{"/memory/classes/total:bytes", "go_memstats_sys_bytes", "gauge", "Memory that the Go runtime has from the system."},
}

// WriteRuntime writes figures of the Go runtime.
func WriteRuntime(w io.Writer) {
	samples := make([]runtimemetrics.Sample, len(ofRuntime))
	help := map[string]string{"go_info": "Always 1; the label is the version of Go that the program was built with."}
	for i, m := range ofRuntime {
		samples[i].Name, help[m.name] = m.from, m.help
	}
	w = WithHelp(w, help)
	runtimemetrics.Read(samples)
	for i, m := range ofRuntime {
		switch v := samples[i].Value; v.Kind() {
		case runtimemetrics.KindUint64:
			Write(w, m.name, m.kind, Sample{Value: float64(v.Uint64())})
		case runtimemetrics.KindFloat64:
			Write(w, m.name, m.kind, Sample{Value: v.Float64()})
		}
	}
	Write(w, "go_info", "gauge", Sample{Labels: Label("version", runtime.Version()), Value: 1})
}
