package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// capture is what a job feels of its output being kept: how long printing takes it, against
// printing into a pipe that cat writes to a file.
func (b *bench) capture() ([]row, error) {
	var rows []row
	for _, c := range []struct {
		what        string
		bytes, size int
	}{
		{"job prints 256 MiB in writes of 100 bytes", 256 << 20, 100},
		{"job prints 1 GiB in writes of 64 KiB", 1 << 30, 64 << 10},
	} {
		var cat, ours, whole []float64
		for range max(1, b.rounds/2) {
			felt, _, err := b.felt(c.bytes, c.size, func(job []string) []string {
				return append([]string{"sh", "-c", `"$@" | cat > "$0"`, filepath.Join(b.dir, "sink")}, job...)
			})
			if err != nil {
				return nil, err
			}
			cat = append(cat, felt)
			felt, ms, err := b.felt(c.bytes, c.size, func(job []string) []string { return b.agent(b.url, job...) })
			if err != nil {
				return nil, err
			}
			ours, whole = append(ours, felt), append(whole, ms/1e3)
		}
		rows = append(rows,
			row{what: c.what + ": felt by it", unit: "s", yardstick: median(cat), measured: median(ours)},
			row{what: "… until the server has all of it", unit: "s", measured: median(whole)})
	}
	return rows, nil
}

// felt runs the printer in something and returns the seconds that printing took, and the
// milliseconds until all was over.
func (b *bench) felt(bytes, size int, in func(job []string) []string) (seconds, ms float64, err error) {
	for _, old := range []string{"felt", "sink", "state"} { // each begins with a disk as empty as the other's
		if err := os.RemoveAll(filepath.Join(b.dir, old)); err != nil {
			return 0, 0, err
		}
	}
	note := filepath.Join(b.dir, "felt")
	ms, err = b.timed(in([]string{b.program("printer"), strconv.Itoa(bytes), strconv.Itoa(size), note}))
	if err != nil {
		return 0, 0, err
	}
	text, err := os.ReadFile(note)
	if err != nil {
		return 0, 0, fmt.Errorf("the printer's time: %w", err)
	}
	seconds, err = strconv.ParseFloat(strings.TrimSpace(string(text)), 64)
	return seconds, ms, err
}
