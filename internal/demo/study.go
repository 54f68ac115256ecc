package demo

import (
	"bytes"
	"cmp"
	"compress/flate"
	"context"
	"errors"
	"fmt"
	"index/suffixarray"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/sync/errgroup"
)

// How long each phase may take at most. What a phase has not done by then it leaves, and
// reports how far it came.
const (
	countTime    = 8 * time.Second
	compressTime = 20 * time.Second
	compressMin  = 16 * time.Second // go on with other sizes and levels until then
	phraseTime   = 10 * time.Second
)

// Study works through dir/corpus.txt. Results go to out, progress and remarks to errOut.
func Study(ctx context.Context, dir string, out, errOut io.Writer) error {
	text, err := os.ReadFile(filepath.Join(dir, CorpusFile))
	if err != nil {
		return fmt.Errorf("read the corpus: %w; the install step makes it", err)
	}
	s := &study{ctx: ctx, text: text, out: out, errOut: errOut}
	for i, phase := range []struct {
		name string
		run  func() error
	}{
		{"count words and pairs of words", s.count},
		{"compress on every core", s.compress},
		{"find the longest phrase that occurs twice", s.phrase},
	} {
		fmt.Fprintf(out, "\nphase %d of 3: %s\n", i+1, phase.name)
		start := time.Now()
		if err := phase.run(); err != nil {
			return fmt.Errorf("phase %d: %w", i+1, err)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("stopped in phase %d: %w", i+1, context.Cause(ctx))
		}
		fmt.Fprintf(errOut, "phase %d took %.1f s\n", i+1, time.Since(start).Seconds())
	}
	fmt.Fprintln(out, "\ndone")
	return nil
}

type study struct {
	ctx         context.Context
	text        []byte
	out, errOut io.Writer
	drawing     sync.Mutex
}

// bar draws a progress bar over itself with a carriage return, as many programs do.
func (s *study) bar(what string, share float64) {
	const width = 30
	share = min(max(share, 0), 1)
	full := int(share * width)
	fmt.Fprintf(s.errOut, "\r%-10s [%s%s] %3.0f %%", what, strings.Repeat("#", full), strings.Repeat(".", width-full), share*100)
	if share >= 1 {
		fmt.Fprintln(s.errOut)
	}
}

// barAt draws the bar when the work that was just added took it over another twentieth. Any
// worker may call it.
func (s *study) barAt(what string, done, added int64) {
	total := int64(len(s.text))
	if done*20/total == (done-added)*20/total {
		return
	}
	s.drawing.Lock()
	defer s.drawing.Unlock()
	s.bar(what, float64(done)/float64(total))
}

// count keeps a table of every word and every pair of neighbours: memory grows.
func (s *study) count() error {
	words, couples := map[string]int{}, map[string]int{}
	end := time.Now().Add(countTime)
	done, total, last := 0, 0, ""
	for line := range bytes.Lines(s.text) {
		for _, w := range bytes.FieldsFunc(line, func(r rune) bool { return !unicode.IsLetter(r) }) {
			if len(w) < 3 { // "x" and "a" are common and say nothing
				continue
			}
			word := strings.ToLower(string(w))
			words[word]++
			couples[last+" "+word]++
			last = word
			total++
		}
		before := done * 40 / len(s.text)
		done += len(line)
		if done*40/len(s.text) == before {
			continue
		}
		s.bar("counting", float64(done)/float64(len(s.text)))
		if s.ctx.Err() != nil || time.Now().After(end) {
			fmt.Fprintf(s.errOut, "\ncounted %d %% of the text in the time there is\n", done*100/len(s.text))
			break
		}
	}
	fmt.Fprintf(s.out, "%d words of three letters or more, %d different ones, %d different pairs\n", total, len(words), len(couples))
	for _, k := range top(words, 5) {
		fmt.Fprintf(s.out, "%9d  %s\n", words[k], k)
	}
	fmt.Fprintf(s.out, "the most common pair: %s\n", strings.Join(top(couples, 1), ""))
	return nil
}

func top(counts map[string]int, n int) []string {
	keys := make([]string, 0, len(counts))
	for k := range counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
	return keys[:min(n, len(keys))]
}

// compress runs DEFLATE over the text on all cores, in pieces of rising size and at rising
// levels, to see what is gained: CPU is full, memory small.
func (s *study) compress() error {
	start := time.Now()
	for _, piece := range []int{1 << 20, 256 << 10, 64 << 10, 16 << 10, 4 << 20} {
		for _, level := range []int{1, 3, 5, 6, 7, 9} {
			if time.Since(start) > compressMin || s.ctx.Err() != nil {
				return nil
			}
			if err := s.compressOnce(piece, level, start.Add(compressTime)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *study) compressOnce(piece, level int, end time.Time) error {
	pieces := slices.Collect(slices.Chunk(s.text, piece))
	var next, did, size atomic.Int64
	var group errgroup.Group
	what := fmt.Sprintf("level %d", level)
	for range runtime.NumCPU() {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(pieces) || s.ctx.Err() != nil || time.Now().After(end) {
					return nil
				}
				n, err := deflated(pieces[i], level)
				if err != nil {
					return err
				}
				size.Add(int64(n))
				s.barAt(what, did.Add(int64(len(pieces[i]))), int64(len(pieces[i])))
			}
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if did.Load() < int64(len(s.text)) {
		fmt.Fprintln(s.errOut) // the bar stopped short of its end, which ends its line
	}
	if did.Load() > 0 {
		fmt.Fprintf(s.out, "pieces of %4d KiB, level %d: %.1f MiB to %.1f MiB, %.1f %%\n", piece>>10, level,
			mib(did.Load()), mib(size.Load()), 100*float64(size.Load())/float64(did.Load()))
	}
	return nil
}

func mib(n int64) float64 { return float64(n) / (1 << 20) }

func deflated(data []byte, level int) (int, error) {
	var n counter
	w, err := flate.NewWriter(&n, level)
	if err != nil {
		return 0, fmt.Errorf("compress: %w", err)
	}
	_, err = w.Write(data)
	if err = errors.Join(err, w.Close()); err != nil {
		return 0, fmt.Errorf("compress: %w", err)
	}
	return int(n), nil
}

type counter int

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// phrase builds a suffix array and searches for lines of text that occur elsewhere too: one
// core, five bytes of memory for each byte of text.
func (s *study) phrase() error {
	end := time.Now().Add(phraseTime)
	text := s.text[:min(len(s.text), 24<<20)]
	index := suffixarray.New(text)
	longest, at, searched := 0, 0, 0
	lines := bytes.SplitAfter(text, []byte("\n"))
	offset := 0
	for i, line := range lines {
		if i%(len(lines)/40+1) == 0 {
			s.bar("searching", float64(i)/float64(len(lines)))
			if s.ctx.Err() != nil || time.Now().After(end) {
				fmt.Fprintf(s.errOut, "\nsearched %d %% of the lines in the available time\n", i*100/len(lines))
				break
			}
		}
		if n := repeated(index, text, offset, longest); n > longest {
			longest, at = n, offset
		}
		searched++
		offset += len(line)
	}
	s.bar("searching", 1)
	fmt.Fprintf(s.out, "searched %d lines; the longest passage that occurs twice has %d characters and begins:\n", searched, longest)
	fmt.Fprintf(s.out, "  %.100q\n", text[at:at+min(longest, 100)])
	return nil
}

// repeated is the length of the longest passage at offset that occurs elsewhere too, if it
// is longer than known, else 0. It doubles the length until one occurs only once, and then
// halves the doubt.
func repeated(index *suffixarray.Index, text []byte, offset, known int) int {
	twice := func(n int) bool {
		return offset+n <= len(text) && len(index.Lookup(text[offset:offset+n], 2)) == 2
	}
	if !twice(known + 1) {
		return 0
	}
	low, high := known+1, 2*(known+1)
	for twice(high) {
		low, high = high, 2*high
	}
	for high-low > 1 {
		if middle := (low + high) / 2; twice(middle) {
			low = middle
		} else {
			high = middle
		}
	}
	return low
}
