package ending

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// Blocks is where the stored journal of an attempt is read.
type Blocks interface {
	// LastBlocks returns the heads of the last blocks of an attempt's journal, in order.
	LastBlocks(ctx context.Context, run string, attempt, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, and more when it was merged
	// since its head was read; *query.NotFoundError when no block begins there any more.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
}

// Line is one line of a log as a terminal showed it, with its indentation.
type Line struct {
	Step   int
	Stream job.Stream
	Number int64 // within the attempt, from 1 on
	Text   string
}

// MaxTextLength bounds the text of a line that is quoted, in characters.
const MaxTextLength = 300

// shownMost bounds what is looked at of one line, in bytes as it was printed.
const shownMost = 128 << 10

// What is looked at of bars that were drawn over other text: parts of one line, between carriage
// returns, and those of all lines together, of which the last ones count.
const (
	partsOfLine = 100
	partsMost   = 1000
)

// matchedLength bounds what is looked at of a line to classify it, in characters.
const matchedLength = 2000

// Quoted is the text of the line on its own: at most MaxTextLength characters, none of which is
// a control character.
func (l Line) Quoted() string {
	return shorten(strings.TrimSpace(strings.ReplaceAll(l.Text, "\t", " ")), MaxTextLength)
}

// shorten takes characters out of the middle of a text that has more than most: its beginning
// says what failed, its end why.
func shorten(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	r := []rune(s)
	head := most / 2
	return string(r[:head]) + "…" + string(r[len(r)-(most-head-1):])
}

// What is read of the end of a log at most, and what is enough: bytes of its journal, and lines
// of stderr among them.
const (
	blocksMost  = 256
	bytesMost   = 4 << 20
	bytesEnough = 1 << 20
	linesEnough = 500
	linesMost   = 1000
)

// LastLines returns the last lines that an attempt printed, over all its steps and both streams,
// in the order of their numbers. Lines that show nothing are left out.
func LastLines(ctx context.Context, from Blocks, run string, attempt int) ([]Line, error) {
	const tries = 4 // against merging, which moves blocks away once in a while
	for try := 1; ; try++ {
		t := tail{lines: map[int64]*rawLine{}}
		err := t.read(ctx, from, run, attempt)
		var gone *query.NotFoundError
		if err != nil && (try == tries || !errors.As(err, &gone)) {
			return nil, err
		}
		if err == nil {
			return t.shown(), nil
		}
	}
}

// tail is the end of a log that is being read. It holds the last lines of each stream only: the
// blocks that are read may have millions.
type tail struct {
	lines map[int64]*rawLine
	first map[job.Stream]int64 // the number of the first line that counts; 0 for all
}

type outputKey struct {
	step   int
	stream job.Stream
}

type rawLine struct {
	outputKey
	data []byte
}

func (t *tail) read(ctx context.Context, from Blocks, run string, attempt int) error {
	heads, err := from.LastBlocks(ctx, run, attempt, blocksMost)
	if err != nil {
		return err
	}
	size, errorLines := 0, 0
	data := make([][]byte, len(heads))
	first := len(heads)
	for first > 0 && size < bytesMost && errorLines < linesEnough && (size < bytesEnough || errorLines == 0) {
		first--
		block, err := from.BlockData(ctx, run, attempt, heads[first].Start)
		if err != nil {
			return err
		}
		data[first] = block[:min(int64(len(block)), heads[first].Size)]
		size += len(data[first])
		errorLines += countErrorLines(data[first])
	}
	t.first = firstLines(heads[first:], data[first:])
	walk(heads[first:], data[first:], t.take)
	return nil
}

// records calls fn for each record of a block, which begins with a whole one.
func records(data []byte, fn func(journal.Record)) {
	for len(data) > 0 {
		rec, n, err := journal.Next(data, journal.HeaderSize)
		if err != nil {
			return
		}
		fn(rec)
		data = data[n:]
	}
}

func countErrorLines(data []byte) (n int) {
	records(data, func(rec journal.Record) {
		if o, err := journal.DecodeOutput(rec); rec.Type == journal.TypeOutput && err == nil && o.Stream == job.Stderr {
			n += bytes.Count(o.Data, []byte{'\n'})
		}
	})
	return n
}

// output is what one record holds of the output of a step and stream.
type output struct {
	outputKey
	data []byte
	open int64 // the number of the line that goes on in it; 0 for none
	next int64 // the number of the first line that begins in it
	last int64 // the number of the last line in it
}

// walk calls fn for each record of output, in order. The head of a block says which lines of earlier
// ones go on in it.
func walk(heads []index.BlockHead, data [][]byte, fn func(output)) {
	open := map[outputKey]int64{} // the line that has not ended
	for i, head := range heads {
		clear(open)
		for _, o := range head.Open {
			open[outputKey{o.Step, o.Stream}] = o.Line
		}
		next := max(1, head.FirstLine)
		records(data[i], func(rec journal.Record) {
			switch rec.Type {
			case journal.TypeStepEnded:
				var ended journal.StepEnded
				if journal.Decode(rec, &ended) == nil {
					delete(open, outputKey{ended.Index, job.Stdout})
					delete(open, outputKey{ended.Index, job.Stderr})
				}
			case journal.TypeOutput:
				o, err := journal.DecodeOutput(rec)
				if err != nil || len(o.Data) == 0 {
					return
				}
				out := outputOf(o, open[outputKey{o.Step, o.Stream}], next)
				if next = max(next, out.last+1); o.Data[len(o.Data)-1] == '\n' {
					delete(open, out.outputKey)
				} else {
					open[out.outputKey] = out.last
				}
				fn(out)
			}
		})
	}
}

// outputOf numbers the lines of a record: the one with the number open goes on in it, unless that is
// 0, and others begin with the number next.
func outputOf(o journal.Output, open, next int64) output {
	out := output{outputKey: outputKey{o.Step, o.Stream}, data: o.Data, open: open, next: next}
	begun := int64(bytes.Count(o.Data, []byte{'\n'}))
	if o.Data[len(o.Data)-1] != '\n' {
		begun++
	}
	if open != 0 {
		begun--
	}
	if out.last = next + begun - 1; begun == 0 {
		out.last = open
	}
	return out
}

// firstLines returns, for each stream, the number of the first of its last linesMost lines; 0 where
// there are fewer.
func firstLines(heads []index.BlockHead, data [][]byte) map[job.Stream]int64 {
	type span struct{ first, last int64 }
	begun := map[job.Stream][]span{}
	walk(heads, data, func(o output) {
		if o.last >= o.next {
			begun[o.stream] = append(begun[o.stream], span{o.next, o.last})
		}
	})
	first := map[job.Stream]int64{}
	for stream, spans := range begun {
		left := int64(linesMost)
		for _, s := range slices.Backward(spans) {
			if left -= s.last - s.first + 1; left <= 0 {
				first[stream] = s.first - left
				break
			}
		}
	}
	return first
}

// take adds what a record holds of the lines that count.
func (t *tail) take(o output) {
	first := t.first[o.stream]
	if o.last < first {
		return
	}
	n := o.open
	if n == 0 {
		n = o.next
	}
	for part := range bytes.Lines(o.data) {
		if n >= first {
			line := t.lines[n]
			if line == nil {
				line = &rawLine{outputKey: o.outputKey}
				t.lines[n] = line
			}
			line.data = append(line.data, bytes.TrimSuffix(part, []byte{'\n'})...)
		}
		if n == o.open {
			n = o.next
		} else {
			n++
		}
	}
}

// shown is the lines as a terminal showed them: of each stream the last ones.
func (t *tail) shown() []Line {
	var out []Line
	left := map[job.Stream]int{job.Stdout: linesMost, job.Stderr: linesMost}
	parts := partsMost
	for _, n := range slices.Backward(slices.Sorted(maps.Keys(t.lines))) {
		raw := t.lines[n]
		if left[raw.stream]--; left[raw.stream] < 0 {
			continue
		}
		if text := show(raw.data, &parts); strings.TrimSpace(text) != "" {
			out = append(out, Line{Step: raw.step, Stream: raw.stream, Number: n, Text: text})
		}
	}
	slices.Reverse(out)
	return out
}

// show is Screen without what a progress bar left: a bar in front of the text, or one that was
// drawn over an error. It is looked for in the last parts of the line, no more than are left, and takes
// them from there.
func show(line []byte, left *int) string {
	if half := shownMost / 2; len(line) > shownMost { // the middle is not quoted
		line = slices.Concat(line[:half], line[len(line)-half:])
	}
	text := Screen(line)
	if !progress.match(strings.ToLower(shorten(text, matchedLength))) {
		return text
	}
	if rest := barBefore.regexp().ReplaceAllString(text, ""); strings.TrimSpace(rest) != "" {
		return rest
	}
	parts := bytes.Split(line, []byte{'\r'})
	for _, part := range slices.Backward(parts[max(0, len(parts)-partsOfLine):]) {
		if *left--; *left < 0 {
			break
		}
		under := barBefore.regexp().ReplaceAllString(shorten(Screen(part), matchedLength), "")
		if strengthOf(strings.ToLower(strings.TrimSpace(under))) >= Likely {
			return under
		}
	}
	return text
}
