package search

import (
	"bytes"
	"context"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/logs/logstest"
	"stint.dev/stint/job"
)

// answer collects the output of a search.
type answer struct{ bytes.Buffer }

func (a *answer) Flush() error { return nil }

// searched is the decoded output of a search.
type searched struct {
	lines []SearchedLine
	done  SearchDone
}

func (a searched) numbers(context bool) []int64 {
	var out []int64
	for _, l := range a.lines {
		if l.Context == context {
			out = append(out, l.Line)
		}
	}
	return out
}

type failer interface{ Fatal(...any) }

func doSearch(t failer, p *logstest.Printed, q Query) searched {
	var out answer
	if err := Run(context.Background(), &p.Blocks, &out, p.Blocks.View(), q, Options{Limit: time.Minute}); err != nil {
		t.Fatal(err)
	}
	return readSearch(t, out.Bytes())
}

func readSearch(t failer, body []byte) searched {
	var a searched
	dec := json.NewDecoder(bytes.NewReader(body))
	for dec.More() {
		var line struct {
			SearchedLine
			Progress *SearchProgress
			Done     *SearchDone
		}
		if err := dec.Decode(&line); err != nil {
			t.Fatal(err)
		}
		switch {
		case line.Done != nil:
			a.done = *line.Done
		case line.Progress == nil:
			a.lines = append(a.lines, line.SearchedLine)
		}
	}
	return a
}

type drawnSearch struct {
	q    Query
	re   *regexp.Regexp
	want []int64
}

func drawSearch(t *rapid.T, p *logstest.Printed) drawnSearch {
	isRegexp := rapid.Bool().Draw(t, "regexp")
	exactCase := rapid.Bool().Draw(t, "case")
	text := rapid.SampledFrom([]string{"a", "BC", "g", "line", "LONG", "long l", "é", "5", "without end", "\r"}).Draw(t, "text")
	if isRegexp {
		text = rapid.SampledFrom([]string{"^$", "a|d", "lo+ng .*end", "^f", "e$", `\d%`, "[^x]c", "(?-i)B", "x*"}).Draw(t, "expression")
	}
	m, err := NewMatcher(text, isRegexp, exactCase)
	if err != nil {
		t.Fatal(err)
	}
	pattern := text
	if !isRegexp {
		pattern = regexp.QuoteMeta(text)
	}
	if !exactCase {
		pattern = "(?i)" + pattern
	}
	d := drawnSearch{re: regexp.MustCompile(pattern), q: Query{Matcher: m, From: 1, Limit: 10_000}}
	d.q.Stream = rapid.SampledFrom([]job.Stream{"", "", job.Stdout, job.Stderr}).Draw(t, "only stream")
	d.q.Step = rapid.SampledFrom([]string{"", "", "0", "step1"}).Draw(t, "only step")
	if err := d.q.ChooseStep(p.Blocks.View()); err != nil {
		t.Fatal(err)
	}
	if rapid.Bool().Draw(t, "bounded") {
		d.q.From = int64(rapid.IntRange(1, 60).Draw(t, "from"))
		d.q.To = int64(rapid.IntRange(1, 60).Draw(t, "to"))
	}
	for _, l := range p.Lines {
		if l.N >= d.q.From && (d.q.To == 0 || l.N <= d.q.To) && d.q.Match(l.Key.Step, l.Key.Stream) &&
			d.re.Match(bytes.TrimSuffix(l.Text, []byte("\n"))) {
			d.want = append(d.want, l.N)
		}
	}
	return d
}

func TestSearchFindsWhatTheModelFinds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := logstest.Draw(t)
		d := drawSearch(t, p)

		got := doSearch(t, p, d.q)
		if n := slices.Sorted(slices.Values(got.numbers(false))); !slices.Equal(n, d.want) {
			t.Fatalf("found lines %v, want %v", n, d.want)
		}
		checkTexts(t, p, d, got)
		count := d.q
		count.Limit = 0
		if n := doSearch(t, p, count).done.Matches; n != int64(len(d.want)) {
			t.Fatalf("counted %d, want %d", n, len(d.want))
		}
		back := d.q
		back.Back = true
		want := slices.Clone(d.want)
		slices.Reverse(want)
		if n := doSearch(t, p, back).numbers(false); !slices.Equal(n, want) {
			t.Fatalf("backwards found lines %v, want %v", n, want)
		}
	})
}

func TestSearchPageByPageMissesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := logstest.Draw(t)
		d := drawSearch(t, p)
		for _, back := range []bool{false, true} {
			q := d.q
			q.Limit, q.Back = int64(rapid.IntRange(1, 3).Draw(t, "limit")), back
			var all []int64
			for pages := 0; ; pages++ {
				if pages > 100 {
					t.Fatal("paging does not end")
				}
				got := doSearch(t, p, q)
				all = append(all, got.numbers(false)...)
				if got.done.Stopped == "" || got.done.NextLine == 0 {
					break
				}
				if back {
					q.To = got.done.NextLine
				} else {
					q.From = got.done.NextLine
				}
			}
			slices.Sort(all)
			if !slices.Equal(all, d.want) {
				t.Fatalf("backwards %v: found %v page by page, want %v", back, all, d.want)
			}
		}
	})
}

func TestSearchShowsTheLinesAround(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := logstest.Draw(t)
		d := drawSearch(t, p)
		d.q.Before = int64(rapid.IntRange(0, 3).Draw(t, "before"))
		d.q.After = int64(rapid.IntRange(0, 3).Draw(t, "after"))
		got := doSearch(t, p, d.q)
		if n := slices.Sorted(slices.Values(got.numbers(false))); !slices.Equal(n, d.want) {
			t.Fatalf("found lines %v, want %v", n, d.want)
		}
		var want, may []int64
		for _, l := range p.Lines {
			near := slices.ContainsFunc(d.want, func(n int64) bool { return l.N >= n-d.q.Before && l.N <= n+d.q.After })
			inside := l.N >= d.q.From && (d.q.To == 0 || l.N <= d.q.To) && d.q.Match(l.Key.Step, l.Key.Stream)
			if near && inside {
				may = append(may, l.N)
				if !slices.Contains(d.want, l.N) {
					want = append(want, l.N)
				}
			}
		}
		around := got.numbers(true)
		if !slices.IsSorted(around) || len(slices.Compact(slices.Clone(around))) != len(around) {
			t.Fatalf("lines around are out of order or doubled: %v", around)
		}
		// A line of another stream whose match came late was shown before, as one of
		// those around, and has no lines around it that were not due anyway.
		for _, n := range around {
			if !slices.Contains(may, n) {
				t.Fatalf("line %d is near no match: %v, want %v", n, around, want)
			}
		}
		oneStream := d.q.Step != "" && d.q.Stream != ""
		if oneStream && !slices.Equal(around, want) {
			t.Fatalf("around are lines %v, want %v", around, want)
		}
	})
}

// checkTexts compares the texts with the model.
func checkTexts(t *rapid.T, p *logstest.Printed, d drawnSearch, got searched) {
	for _, l := range got.lines {
		m := p.Lines[l.Line-1]
		text := strings.ToValidUTF8(string(bytes.TrimSuffix(m.Text, []byte("\n"))), "\uFFFD")
		if l.Text != text || l.Step != m.Key.Step || l.Stream != m.Key.Stream || !l.At.Equal(m.At) {
			t.Fatalf("line %d is %+v, want %q at %s", l.Line, l, m.Text, m.At)
		}
		for _, r := range l.Ranges {
			if !d.re.MatchString(l.Text[r[0]:r[1]]) && !strings.ContainsAny(d.re.String(), "^$") {
				t.Fatalf("range %v of %q does not match %s", r, l.Text, d.re)
			}
		}
	}
}
