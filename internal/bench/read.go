package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"stint.dev/stint/internal/bench/fleet"
	"stint.dev/stint/internal/bench/host"
	"stint.dev/stint/job"
)

// rare is the word that is looked for; it is in rareLines lines of the log.
const (
	rare      = "CudaOutOfMemoryError"
	rareLines = 7
)

// read is how long it takes to open a window anywhere in a large log and to search the whole
// of it, against zstd and grep over the same bytes.
func (b *bench) read() ([]row, error) {
	file := filepath.Join(b.Dir, "log.txt")
	lines, err := writeLog(file, b.logBytes)
	if err != nil {
		return nil, err
	}
	s, err := b.Stint(b.Embedded("read"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.Stop() }() // the figures are what counts
	id := fleet.RunID(time.Now(), 1)
	if _, err := b.Time(b.agent(s.URL(), "--run-id", id, "cat", file)); err != nil {
		return nil, err
	}
	if err := s.WaitIdle(3 * time.Minute); err != nil {
		return nil, err
	}
	if out, err := exec.Command("zstd", "-q", "-3", file).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("zstd, which is the yardstick of search: %w: %s", err, out)
	}
	rows, err := b.reading(s, id, file, lines, fmt.Sprintf("log of %s, %d lines: ", job.Bytes(b.logBytes), lines))
	if err != nil {
		return nil, err
	}
	if err := b.packed(s); err != nil {
		return nil, err
	}
	more, err := b.reading(s, id, file, lines, "… once it is packed: ")
	return append(rows, more...), err
}

// packed waits until the server has packed the log: no segment but the one that grows is left.
func (b *bench) packed(s *host.Service) error {
	for late := time.Now().Add(2 * time.Minute); time.Now().Before(late); <-time.After(time.Second) {
		left, err := filepath.Glob(filepath.Join(b.Dir, "read", "segments", "*.seg"))
		if err != nil {
			return err
		}
		if len(left) <= 1 {
			return s.WaitIdle(3 * time.Minute)
		}
	}
	return fmt.Errorf("the log is not packed after two minutes: %w", host.ErrNoFigure)
}

// reading opens windows in a log and searches it.
func (b *bench) reading(s *host.Service, id, file string, lines int, what string) ([]row, error) {
	windows, err := windows(s, id, lines)
	if err != nil {
		return nil, err
	}
	var yard, ours []float64
	for range max(3, b.rounds/2) {
		ms, err := b.Time([]string{"sh", "-c", `test "$(zstd -dc "$0" | grep -c "$1")" = "$2"`, file + ".zst", rare, strconv.Itoa(rareLines)})
		if err != nil {
			return nil, err
		}
		yard = append(yard, ms/1e3)
		took, err := search(s, id)
		if err != nil {
			return nil, err
		}
		ours = append(ours, took.Seconds())
	}
	return []row{
		{what: what + "open a window of 200 lines anywhere, the slowest of 60", unit: "ms", measured: windows[len(windows)-1], most: 50},
		{what: "… median", unit: "ms", measured: windows[len(windows)/2]},
		{what: "… search for a rare word, against zstd and grep -c", unit: "s", yardstick: median(yard), measured: median(ours), mostRatio: 1.5},
	}, nil
}

// writeLog writes a log as a training job prints it, with the rare word spread over it.
func writeLog(path string, size int64) (lines int, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close() //nolint:errcheck // the flush before returns the error
	w := bufio.NewWriterSize(f, 1<<20)
	r := rand.New(rand.NewPCG(1, 2))
	found := 0
	var line []byte
	for written := int64(0); written < size; lines++ {
		word := "ok"
		if written >= size*int64(2*found+1)/(2*rareLines) {
			word, found = rare, found+1
		}
		line = fmt.Appendf(line[:0], "2026-11-22T%02d:%02d:%02d.%03dZ INFO worker-%d step=%d loss=%.6f lr=%.2e grad_norm=%.4f tokens=%d %s\n",
			lines/3600000%24, lines/60000%60, lines/1000%60, lines%1000, r.IntN(64), lines, 2+r.Float64(), 1e-4*r.Float64(), r.Float64(), r.IntN(100000), word)
		n, err := w.Write(line)
		if err != nil {
			return 0, err
		}
		written += int64(n)
	}
	return lines, w.Flush()
}

// windows opens windows all over a log and returns how many ms each took, in order.
func windows(s *host.Service, id string, lines int) ([]float64, error) {
	r := rand.New(rand.NewPCG(3, 4))
	var took []float64
	for range 60 {
		from := 1 + r.IntN(max(1, lines-200))
		begun := time.Now()
		body, err := fetch(fmt.Sprintf("%s/api/v1/runs/%s/log?from_line=%d&lines=200", s.URL(), id, from))
		took = append(took, float64(time.Since(begun).Microseconds())/1e3)
		if err != nil {
			return nil, err
		}
		if n := strings.Count(string(body), "\n"); n != 200 || !strings.Contains(string(body), fmt.Sprintf("step=%d ", from-1)) {
			return nil, fmt.Errorf("the window at line %d has %d lines, or others: %w", from, n, host.ErrNoFigure)
		}
	}
	slices.Sort(took)
	return took, nil
}

// search counts the rare word over the whole log.
func search(s *host.Service, id string) (time.Duration, error) {
	begun := time.Now()
	body, err := fetch(fmt.Sprintf("%s/api/v1/runs/%s/log/search?q=%s&limit=0", s.URL(), id, rare))
	took := time.Since(begun)
	if err != nil {
		return 0, err
	}
	all := strings.Split(strings.TrimSpace(string(body)), "\n")
	var last struct {
		Done struct {
			Matches int    `json:"matches"`
			Stopped string `json:"stopped"`
		} `json:"done"`
	}
	if err := json.Unmarshal([]byte(all[len(all)-1]), &last); err != nil {
		return 0, err
	}
	if last.Done.Matches != rareLines || last.Done.Stopped == "time" {
		return 0, fmt.Errorf("the search found %+v, there are %d: %w", last.Done, rareLines, host.ErrNoFigure)
	}
	return took, nil
}

// fetch gets a whole answer.
func fetch(url string) ([]byte, error) {
	resp, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("GET %s: HTTP %d: %.200s", url, resp.StatusCode, body), host.ErrNoFigure)
	}
	return body, nil
}
