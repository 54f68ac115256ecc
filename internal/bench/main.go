// Bench measures the agent against yardsticks in the same run, and prints a table: the
// figures of two machines, or of two days, say nothing about each other, but ratios do.
//
//	go run ./internal/bench [-rounds 7] [-only NAME]
//
// docs/engineering/benchmarks.md has a run's table and what each row means.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// row is one line of the table. A target of 0 is none.
type row struct {
	what                string
	unit                string
	yardstick, measured float64 // a yardstick of 0 is none
	mostRatio, most     float64
	leastRatio, least   float64
}

func (r row) ratio() float64 { return r.measured / r.yardstick }

func (r row) met() bool {
	return (r.mostRatio == 0 || r.ratio() <= r.mostRatio) && (r.most == 0 || r.measured <= r.most) && (r.leastRatio == 0 || r.ratio() >= r.leastRatio) && r.measured >= r.least
}

func (r row) String() string {
	yard, ratio, met := "", "", ""
	if r.yardstick > 0 {
		yard, ratio = fmt.Sprintf("%.4g %s", r.yardstick, r.unit), fmt.Sprintf("%.2f", r.ratio())
	}
	var targets []string
	if r.mostRatio > 0 {
		targets = append(targets, fmt.Sprintf("≤ %g ×", r.mostRatio))
	}
	if r.most > 0 {
		targets = append(targets, fmt.Sprintf("≤ %g %s", r.most, r.unit))
	}
	if r.leastRatio > 0 {
		targets = append(targets, fmt.Sprintf("≥ %g ×", r.leastRatio))
	}
	if r.least > 0 {
		targets = append(targets, fmt.Sprintf("≥ %g %s", r.least, r.unit))
	}
	if len(targets) > 0 {
		met = "no"
		if r.met() {
			met = "yes"
		}
	}
	return fmt.Sprintf("| %s | %s | %.4g %s | %s | %s | %s |", r.what, yard, r.measured, r.unit, ratio, strings.Join(targets, ", "), met)
}

// scale is how large the measurements of the server are.
type scale struct {
	agents   int
	spread   time.Duration
	on       string
	span     time.Duration
	logBytes int64
	days     int
	runs     int
	queued   int
}

// measurement makes rows; one that cannot be made here is an error.
type measurement struct {
	name string
	make func(b *bench) ([]row, error)
}

var measurements = []measurement{
	{"startup", (*bench).startup},
	{"steady", (*bench).steady},
	{"sample", (*bench).sample},
	{"thousand", (*bench).thousand},
	{"capture", (*bench).capture},
	{"outage", (*bench).outage},
	{"beats", (*bench).beats},
	{"tokens", (*bench).tokens},
	{"live", (*bench).live},
	{"readers", (*bench).readers},
	{"read", (*bench).read},
	{"chart", (*bench).chart},
	{"runs", (*bench).runs},
	{"queue", (*bench).queue},
	{"due", (*bench).due},
}

func main() {
	rounds := flag.Int("rounds", 7, "how often each thing is measured; the median counts")
	only := flag.String("only", "", "names of measurements, separated by commas: startup,steady,sample,thousand,capture,outage,beats,tokens,live,readers,read,chart,runs,queue,due")
	var size scale
	flag.IntVar(&size.agents, "agents", 10_000, "live: how many agents")
	flag.DurationVar(&size.spread, "spread", 30*time.Second, "live: the time within which all agents begin")
	flag.StringVar(&size.on, "on", "", "live, queue, due: SQLite or PostgreSQL; both unless one is named")
	flag.DurationVar(&size.span, "span", 10*time.Second, "beats, tokens, live: how long is measured; live takes three times this")
	flag.Int64Var(&size.logBytes, "log", 1<<30, "read: bytes of the log")
	flag.IntVar(&size.days, "days", 30, "chart: how long the run went on")
	flag.IntVar(&size.runs, "runs", 1_000_000, "runs: how many")
	flag.IntVar(&size.queued, "queued", 100_000, "queue: how many runs wait")
	flag.Parse()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	if err := run(ctx, *rounds, *only, size); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, rounds int, only string, size scale) error {
	b, err := newBench(ctx, rounds, size)
	if err != nil {
		return err
	}
	defer b.close()
	fmt.Println("| what | yardstick | stint | ratio | target | met |\n|---|---|---|---|---|---|")
	for _, m := range measurements {
		if only != "" && !slices.Contains(strings.Split(only, ","), m.name) {
			continue
		}
		rows, err := m.make(b)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, r := range rows {
			fmt.Println(r)
		}
	}
	return nil
}

// median is the one in the middle; of an even number, the mean of the two.
func median(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(all))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
