package ending

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var noon = time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)

// stored is the journal of one attempt in blocks.
type stored struct {
	t     rapid.TB
	buf   bytes.Buffer
	w     *journal.Writer
	state index.State
	heads []index.BlockHead
	data  map[int64][]byte
	moves int // number of reads that fail because the block has moved
}

func newStored(t rapid.TB) *stored {
	s := &stored{t: t, state: index.NewState("0199aaaa-0000-7000-8000-000000000001", 1), data: map[int64][]byte{}}
	var err error
	if s.w, err = journal.NewWriter(&s.buf); err != nil {
		t.Fatal(err)
	}
	s.json(journal.TypeAttempt, journal.Attempt{Run: s.state.Run, Attempt: 1, Job: "j", Args: []string{"x"}})
	return s
}

func (s *stored) json(kind journal.Type, v any) {
	if err := s.w.AppendJSON(kind, noon, v); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stored) begin(step int) {
	s.json(journal.TypeStepStarted, journal.StepStarted{Index: step, Name: fmt.Sprint(step), Kind: job.CommandStep})
}

func (s *stored) end(step int) {
	s.json(journal.TypeStepEnded, journal.StepEnded{Index: step, Outcome: job.Outcome{State: job.Failed}})
}

func (s *stored) print(step int, stream job.Stream, text string) {
	if err := s.w.Append(journal.OutputRecord(noon, journal.Output{Step: step, Stream: stream, Data: []byte(text)})); err != nil {
		s.t.Fatal(err)
	}
}

// block stores the records since the last block.
func (s *stored) block() {
	data := bytes.Clone(s.buf.Bytes())
	s.buf.Reset()
	f, err := index.Fold(s.state, data)
	if err != nil || f.Tail != 0 {
		s.t.Fatal(err, f.Tail)
	}
	s.state = f.State
	if f.Head.Size > 0 {
		s.heads = append(s.heads, f.Head)
		s.data[f.Head.Start] = data[int64(len(data))-f.Head.Size:]
	}
}

func (s *stored) LastBlocks(_ context.Context, _ string, _, limit int) ([]index.BlockHead, error) {
	return s.heads[max(0, len(s.heads)-limit):], nil
}

func (s *stored) BlockData(_ context.Context, _ string, _ int, start int64) ([]byte, error) {
	if s.moves--; s.moves >= 0 {
		return nil, &query.NotFoundError{What: "block"}
	}
	return append(bytes.Clone(s.data[start]), "merged since"...), nil
}

func (s *stored) last() []Line {
	lines, err := LastLines(context.Background(), s, s.state.Run, 1)
	if err != nil {
		s.t.Fatal(err)
	}
	return lines
}

// Independent of the split into records and blocks, each line has the same number and text as in the
// whole journal.
func TestLastLinesOfAnyBlocks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStored(t)
		open := map[job.Stream]*Line{}
		var want []*Line
		step := 0
		s.begin(0)
		for range rapid.IntRange(0, 40).Draw(t, "records") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				s.end(step)
				step++
				s.begin(step)
				clear(open)
			case 1, 2, 3:
				s.block()
			default:
				stream := rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr}).Draw(t, "stream")
				text := rapid.StringOfN(rapid.SampledFrom([]rune("ab \n\n")), 1, 12, -1).Draw(t, "text")
				s.print(step, stream, text)
				for part := range strings.Lines(text) {
					if open[stream] == nil {
						open[stream] = &Line{Step: step, Stream: stream, Number: int64(len(want) + 1)}
						want = append(want, open[stream])
					}
					text, ends := strings.CutSuffix(part, "\n")
					open[stream].Text += text
					if ends {
						open[stream] = nil
					}
				}
			}
		}
		s.block()
		var shown []Line
		for _, l := range want {
			if strings.TrimSpace(l.Text) != "" {
				shown = append(shown, *l)
			}
		}
		if diff := cmp.Diff(shown, s.last()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
	})
}

// An error on stderr is found before more output than is read at once, and an error on either stream
// is not displaced by output of the other.
func TestLastLinesOfMuchOutput(t *testing.T) {
	s := newStored(t)
	s.begin(0)
	s.print(0, job.Stderr, "fatal: no leader\n")
	s.block()
	for range 20 {
		s.print(0, job.Stdout, strings.Repeat("row of much output\n", 5000))
		s.block()
	}
	lines := s.last()
	if first := lines[0]; first.Text != "fatal: no leader" || first.Number != 1 || len(lines) != maxLines+1 {
		t.Errorf("%d lines, the first %+v", len(lines), first)
	}
}

// If there are more lines than the limit, the last lines of each stream are returned.
func TestLastLinesOfManyRecords(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newStored(t)
		s.begin(0)
		want := map[job.Stream][]Line{}
		open := map[job.Stream]bool{}
		for n := int64(0); n < 3*maxLines; {
			stream := rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr}).Draw(t, "stream")
			lines := rapid.IntRange(0, 2*maxLines).Draw(t, "lines")
			ends := rapid.Bool().Draw(t, "ends")
			text := strings.Repeat("x\n", lines)
			if !ends {
				text += "x"
			}
			for part := range strings.Lines(text) {
				if open[stream] {
					last := &want[stream][len(want[stream])-1]
					last.Text += strings.TrimSuffix(part, "\n")
				} else {
					n++
					want[stream] = append(want[stream], Line{Stream: stream, Number: n, Text: "x"})
				}
				open[stream] = !strings.HasSuffix(part, "\n")
			}
			s.print(0, stream, text)
			if rapid.Bool().Draw(t, "block") && !open[job.Stdout] && !open[job.Stderr] {
				s.block() // not every block is read, so that lines are complete in one
			}
		}
		s.block()
		got := map[job.Stream][]Line{}
		for _, l := range s.last() {
			got[l.Stream] = append(got[l.Stream], l)
		}
		for stream, lines := range want {
			if n := len(got[stream]); n > maxLines || n < min(len(lines), maxLines) && len(s.heads) == 1 {
				t.Fatalf("%d lines of %s are shown of %d", n, stream, len(lines))
			}
			if last := lines[len(lines)-len(got[stream]):]; !slices.Equal(last, got[stream]) {
				t.Errorf("the last lines of %s differ:\n%s", stream, cmp.Diff(last, got[stream]))
			}
		}
	})
}

// Of millions of lines only the last lines of each stream use memory.
func TestLastLinesOfMillionsOfLines(t *testing.T) {
	s := newStored(t)
	s.begin(0)
	s.print(0, job.Stderr, "fatal: no leader\n")
	const records, lines = 100, 60_000
	for range records {
		s.print(0, job.Stdout, strings.Repeat("\n", lines-1)+"x\n")
	}
	s.print(0, job.Stdout, "the end")
	s.block()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := s.last()
	runtime.ReadMemStats(&after)
	if allocated, size := after.TotalAlloc-before.TotalAlloc, uint64(len(s.data[s.heads[0].Start])); allocated > 2*size {
		t.Errorf("%d bytes were allocated to read %d", allocated, size)
	}
	want := []Line{
		{Stream: job.Stderr, Number: 1, Text: "fatal: no leader"},
		{Stream: job.Stdout, Number: 1 + records*lines, Text: "x"},
		{Stream: job.Stdout, Number: 2 + records*lines, Text: "the end"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// A progress bar of many megabytes on one line, of which the end is read, shows its last state.
func TestLastLinesOfALongBar(t *testing.T) {
	s := newStored(t)
	s.begin(0)
	for i := range 60 {
		s.print(0, job.Stderr, strings.Repeat(fmt.Sprintf("\r%3d%%|###       | %d/60 [00:00<00:00, 9.9it/s]", i, i), 3000))
		s.block()
	}
	s.print(0, job.Stderr, "\rValueError: the reason")
	s.block()
	if got := s.last(); len(got) != 1 || got[0].Text != "ValueError: the reason" || got[0].Number != 1 {
		t.Errorf("%.300v", got)
	}
}

func TestBlocksThatMove(t *testing.T) {
	s := newStored(t)
	s.begin(0)
	s.print(0, job.Stdout, "a\n")
	s.block()
	s.moves = 2
	if got := s.last(); len(got) != 1 {
		t.Errorf("after a merge: %+v", got)
	}
	s.moves = 1000
	var gone *query.NotFoundError
	if _, err := LastLines(t.Context(), s, s.state.Run, 1); !errors.As(err, &gone) {
		t.Errorf("blocks that never stay: %v", err)
	}
}

// The output of a succeeded step is not the error of a failed step.
func TestEndingOfTheStepThatFailed(t *testing.T) {
	lines := append(linesOf(job.Stderr, "error: 3 packages are old", 1), Line{Step: 1, Stream: job.Stdout, Number: 2, Text: "hi"})
	run := job.Run{Attempt: 2, Steps: []job.Step{{Index: 0, State: job.Succeeded}, {Index: 1, State: job.Running}}}
	want := func(want *job.Evidence) {
		t.Helper()
		if diff := cmp.Diff(want, Of(lines, run).Evidence); diff != "" {
			t.Error("(-want +got)", diff)
		}
	}
	want(&job.Evidence{Attempt: 2, Step: 1, Stream: job.Stdout, Line: 2, Text: "hi"}) // while it runs, the last line
	run.Outcome = &job.Outcome{Reason: job.ExitCode}
	want(nil)
	run.Steps[0].State = job.Failed
	want(&job.Evidence{Attempt: 2, Stream: job.Stderr, Line: 1, Text: "error: 3 packages are old"})
	run.Outcome.Reason = job.AgentLost
	want(&job.Evidence{Attempt: 2, Stream: job.Stderr, Line: 1, Text: "error: 3 packages are old"})
	lines[0].Text = "cannot find 3 packages" // likely an error, but perhaps not why the agent disappeared
	want(nil)
}

// barsOverErrors returns many lines of progress bars, each drawn over an error at its beginning.
func barsOverErrors(lines, parts int) string {
	return strings.Repeat("ValueError: the reason"+strings.Repeat("\r 50%|##        | 1/2 [00:01<00:01,  1.00it/s]", parts-1)+"\n", lines)
}

// Text under progress bars is searched in a bounded number of parts of all lines together, beginning with the
// last ones.
func TestLastLinesOfManyBars(t *testing.T) {
	s := newStored(t)
	s.begin(0)
	s.print(0, job.Stderr, barsOverErrors(50, maxLineParts))
	s.block()
	var found []int64
	lines := s.last()
	for _, l := range lines {
		if l.Text == "ValueError: the reason" {
			found = append(found, l.Number)
		}
	}
	if diff := cmp.Diff([]int64{41, 42, 43, 44, 45, 46, 47, 48, 49, 50}, found); diff != "" || len(lines) != 50 {
		t.Errorf("of %d lines those that show what the bar was drawn over (-want +got):\n%s", len(lines), diff)
	}
}

// A tail of progress bars takes little longer than a tail of other lines.
func BenchmarkManyBars(b *testing.B) {
	s := newStored(b)
	s.begin(0)
	line := strings.Repeat("\r1%|| 1/2 []", maxLineParts) + "\n"
	for range maxLines {
		s.print(0, job.Stdout, line)
		s.print(0, job.Stderr, line)
	}
	s.block()
	b.SetBytes(int64(2 * maxLines * len(line)))
	for b.Loop() {
		s.last()
	}
}

// Processing a line of megabytes takes no longer than reading it.
func BenchmarkLongLines(b *testing.B) {
	for name, text := range map[string]string{
		"text": strings.Repeat("thread 'a' at [x] (y) 10% ", 150_000), "bar": strings.Repeat("\r 50%|##        | 1/2 [00:01<00:01,  1.00it/s]", 90_000),
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				parts := maxMatched
				ErrorLine([]Line{{Stream: job.Stderr, Number: 1, Text: show([]byte(text), &parts)}})
			}
		})
	}
}
