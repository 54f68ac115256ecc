// Bench measures the agent against yardsticks in the same run, and prints a table: the
// figures of two machines, or of two days, say nothing about each other, but ratios do.
//
//	go run ./internal/bench [-rounds 7] [-only NAME]
//
// docs/benchmarks.md has a run's table and what each row means.
package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
)

// row is one line of the table. A target of 0 is none.
type row struct {
	what                string
	unit                string
	yardstick, measured float64 // a yardstick of 0 is none
	mostRatio, most     float64
}

func (r row) ratio() float64 { return r.measured / r.yardstick }

func (r row) met() bool {
	return (r.mostRatio == 0 || r.ratio() <= r.mostRatio) && (r.most == 0 || r.measured <= r.most)
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
	if len(targets) > 0 {
		met = "no"
		if r.met() {
			met = "yes"
		}
	}
	return fmt.Sprintf("| %s | %s | %.4g %s | %s | %s | %s |", r.what, yard, r.measured, r.unit, ratio, strings.Join(targets, ", "), met)
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
}

func main() {
	rounds := flag.Int("rounds", 7, "how often each thing is measured; the median counts")
	only := flag.String("only", "", "names of measurements, separated by commas: startup,steady,sample,thousand,capture")
	flag.Parse()
	if err := run(*rounds, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(rounds int, only string) error {
	b, err := newBench(rounds)
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
