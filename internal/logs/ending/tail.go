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

// Blocks reads the stored journal of an attempt.
type Blocks interface {
	// LastBlocks returns the heads of the last blocks of an attempt's journal, in order.
	LastBlocks(ctx context.Context, run string, attempt, limit int) ([]index.BlockHead, error)
	// BlockData returns the bytes of the block that begins at start, or more if it was merged
	// after its head was read. It returns *query.NotFoundError if no block begins there any more.
	BlockData(ctx context.Context, run string, attempt int, start int64) ([]byte, error)
}

// Line is one line of a log as a terminal showed it, with its indentation.
type Line struct {
	Step   int
	Stream job.Stream
	Number int64 // number within the attempt, from 1
	Text   string
}

// MaxTextLength is the maximum length of the text of a quoted line, in characters.
const MaxTextLength = 300

// maxLineBytes bounds the printed bytes of one line that are examined.
const maxLineBytes = 128 << 10

// maxLineParts is the number of parts of one line between carriage returns that are searched for text under
// progress bars, beginning with the last.
const maxLineParts = 100

// Bounds of the text that is matched with patterns, in characters. The last lines are matched first; lines
// beyond maxMatched are matched only at their two ends.
const (
	matchedLength = 2000      // of one line
	maxBarLength  = 500       // of one line, to detect a progress bar
	maxMatched    = 128 << 10 // of all lines of a stream, and of all parts under progress bars
	leastMatched  = 128       // of a line beyond maxMatched
)

// Quoted returns the text of the line without indentation: at most MaxTextLength characters, none of which is
// a control character.
func (l Line) Quoted() string {
	return shorten(strings.TrimSpace(strings.ReplaceAll(l.Text, "\t", " ")), MaxTextLength)
}

// shorten removes characters from the middle of a text that has more than most: the beginning
// of a message says what failed, and the end why.
func shorten(s string, most int) string {
	if len(s) <= most || utf8.RuneCountInString(s) <= most {
		return s
	}
	r := []rune(s)
	head := most / 2
	return string(r[:head]) + "…" + string(r[len(r)-(most-head-1):])
}

// Bounds of the part of a log that is read, and the sizes at which reading stops: bytes of its journal, and lines
// of stderr among them.
const (
	maxBlocks   = 256
	maxBytes    = 4 << 20
	enoughBytes = 1 << 20
	enoughLines = 500
	maxLines    = 1000
)

// LastLines returns the last lines that an attempt printed, over all its steps and both streams,
// in the order of their numbers, without blank lines.
func LastLines(ctx context.Context, from Blocks, run string, attempt int) ([]Line, error) {
	const tries = 4 // because blocks may be merged between two reads
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

// tail reads the end of a log. It keeps only the last lines of each stream: the
// blocks may have millions.
type tail struct {
	lines map[int64]*rawLine
	first map[job.Stream]int64 // number of the first line that is kept; 0 for all
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
	heads, err := from.LastBlocks(ctx, run, attempt, maxBlocks)
	if err != nil {
		return err
	}
	size, errorLines := 0, 0
	data := make([][]byte, len(heads))
	first := len(heads)
	for first > 0 && size < maxBytes && errorLines < enoughLines && (size < enoughBytes || errorLines == 0) {
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

// records calls fn for each record of a block. Blocks begin with a complete record.
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

// output is the content of one record of output.
type output struct {
	outputKey
	data []byte
	open int64 // number of the line that it continues; 0 for none
	next int64 // number of the first line that begins in it
	last int64 // number of the last line in it
}

// walk calls fn for each record of output, in order. The head of a block lists the lines of earlier
// blocks that it continues.
func walk(heads []index.BlockHead, data [][]byte, fn func(output)) {
	open := map[outputKey]int64{} // number of the open line
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

// outputOf returns the lines of a record: it continues the line open, unless this is
// 0, and its other lines are numbered from next.
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

// firstLines returns, for each stream, the number of the first of its last maxLines lines, or 0 if
// it has fewer.
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
		left := int64(maxLines)
		for _, s := range slices.Backward(spans) {
			if left -= s.last - s.first + 1; left <= 0 {
				first[stream] = s.first - left
				break
			}
		}
	}
	return first
}

// take adds the kept lines of a record.
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

// shown returns the last lines of each stream as a terminal showed them.
func (t *tail) shown() []Line {
	var out []Line
	left := map[job.Stream]int{job.Stdout: maxLines, job.Stderr: maxLines}
	parts := maxMatched
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

// show returns the text of a line like Screen, without a progress bar in front of the text or one that was
// drawn over an error. It searches the last parts of the line, until they have left characters, and subtracts
// their lengths from left.
func show(line []byte, left *int) string {
	if half := maxLineBytes / 2; len(line) > maxLineBytes { // the middle is never quoted
		line = slices.Concat(line[:half], line[len(line)-half:])
	}
	text := Screen(line)
	if !progress.match(strings.ToLower(shorten(text, maxBarLength))) {
		return text
	}
	if rest := withoutBar(text); strings.TrimSpace(rest) != "" && rest != text {
		return rest
	}
	parts := bytes.Split(line, []byte{'\r'})
	for _, part := range slices.Backward(parts[max(0, len(parts)-maxLineParts):]) {
		under := shorten(Screen(part), matchedLength)
		if *left -= max(len(under), leastMatched); *left < 0 {
			break
		}
		under = withoutBar(under)
		if strengthOf(strings.ToLower(strings.TrimSpace(under))) >= Likely {
			return under
		}
	}
	return text
}
