package server

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const testRun = "0190a0b0-0000-7000-8000-000000000001"

// memoryBlocks holds the blocks of one attempt, made as the store makes them.
type memoryBlocks struct {
	heads []index.BlockHead
	data  map[int64][]byte
	state index.State
	reads int
}

func (m *memoryBlocks) append(t interface{ Fatal(...any) }, data []byte) {
	if m.data == nil {
		m.data, m.state = map[int64][]byte{}, index.NewState(testRun, 1)
	}
	f, err := index.Fold(m.state, data)
	if err != nil {
		t.Fatal(err)
	}
	if f.Tail != 0 {
		t.Fatal("append holds half a record")
	}
	m.state = f.State
	m.heads = append(m.heads, f.Head)
	m.data[f.Head.Start] = data[int64(len(data))-f.Head.Size:]
}

func (m *memoryBlocks) Blocks(_ context.Context, _ string, _ int, from int64, limit int) ([]index.BlockHead, error) {
	for i, h := range m.heads {
		if h.Start+h.Size > from {
			return m.heads[i:min(len(m.heads), i+limit)], nil
		}
	}
	return nil, nil
}

func (m *memoryBlocks) BlocksFromLine(_ context.Context, _ string, _ int, line int64, limit int) ([]index.BlockHead, error) {
	for i, h := range m.heads {
		if h.FirstLine+h.Lines > line {
			return m.heads[i:min(len(m.heads), i+limit)], nil
		}
	}
	return nil, nil
}

func (m *memoryBlocks) BlockData(_ context.Context, _ string, _ int, start int64) ([]byte, error) {
	m.reads++
	if d, ok := m.data[start]; ok {
		return d, nil
	}
	return nil, &index.NotFoundError{What: "block"}
}

// view is the run as the store would show it.
func (m *memoryBlocks) view() job.Run {
	v := m.state.View
	v.ID, v.Attempt = testRun, 1
	return v
}

// modelLine is a line as the reader must show it.
type modelLine struct {
	n     int64
	key   outputKey
	at    time.Time
	text  []byte
	ended bool // has its newline
	final bool // its step has ended
}

// printed is a journal for tests, with the model of its lines beside it.
type printed struct {
	at     time.Time
	blocks memoryBlocks
	buf    []byte
	lines  []*modelLine
	open   map[outputKey]*modelLine
	raw    map[outputKey][]byte
	all    []byte
}

func newPrinted(t interface{ Fatal(...any) }) *printed {
	p := &printed{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), open: map[outputKey]*modelLine{}, raw: map[outputKey][]byte{}}
	p.buf = journal.AppendHeader(nil)
	p.json(t, journal.TypeAttempt, journal.Attempt{Run: testRun, Attempt: 1, Job: "j", Args: []string{"x"}, Host: "h"})
	for i := range 3 {
		p.json(t, journal.TypeStepStarted, journal.StepStarted{Index: i, Name: fmt.Sprint("step", i), Kind: job.InstallStep, Command: "x"})
	}
	return p
}

func (p *printed) json(t interface{ Fatal(...any) }, typ journal.Type, v any) {
	p.at = p.at.Add(time.Second)
	rec, err := journal.JSONRecord(typ, p.at, v)
	if err != nil {
		t.Fatal(err)
	}
	p.buf = journal.AppendRecord(p.buf, rec)
}

func (p *printed) print(step int, stream job.Stream, data string) {
	p.at = p.at.Add(time.Second)
	key := outputKey{step, stream}
	p.buf = journal.AppendRecord(p.buf, journal.OutputRecord(p.at, journal.Output{Step: step, Stream: stream, Data: []byte(data)}))
	p.all = append(p.all, data...)
	p.raw[key] = append(p.raw[key], data...)
	for _, part := range strings.SplitAfter(data, "\n") {
		if part == "" {
			continue
		}
		line := p.open[key]
		if line == nil {
			line = &modelLine{n: int64(len(p.lines)) + 1, key: key, at: p.at}
			p.lines = append(p.lines, line)
			p.open[key] = line
		}
		line.text = append(line.text, part...)
		if strings.HasSuffix(part, "\n") {
			line.ended = true
			delete(p.open, key)
		}
	}
}

func (p *printed) endStep(t interface{ Fatal(...any) }, step int) {
	p.json(t, journal.TypeStepEnded, journal.StepEnded{Index: step, Outcome: job.Outcome{State: job.Succeeded, Reason: job.ExitCode}})
	for _, stream := range []job.Stream{job.Stdout, job.Stderr} {
		if l := p.open[outputKey{step, stream}]; l != nil {
			l.final = true
			delete(p.open, outputKey{step, stream})
		}
	}
}

// cut ends a block here.
func (p *printed) cut(t interface{ Fatal(...any) }) {
	if len(p.buf) > 0 {
		p.blocks.append(t, p.buf)
		p.buf = nil
	}
}

// window is what the model says of a query.
func (p *printed) window(q logQuery) []*modelLine {
	var out []*modelLine
	for _, l := range p.lines {
		if l.n >= q.fromLine && q.match(l.key.step, l.key.stream) && !l.at.Before(q.fromTime) {
			out = append(out, l)
		}
	}
	if q.tail >= 0 {
		return out[max(0, int64(len(out))-q.tail):]
	}
	if q.lines > 0 {
		return out[:min(int64(len(out)), q.lines)]
	}
	return out
}

func drawPrinted(t *rapid.T) *printed {
	p := newPrinted(t)
	text := rapid.SampledFrom([]string{"a", "bc\n", "\n", "d\ne", "f\ng\n", "\r50%", "\xff\n", "", "long long line without end", "é", "\n\nx\n"})
	for range rapid.IntRange(0, 60).Draw(t, "records") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			p.cut(t)
		case 1:
			p.endStep(t, rapid.IntRange(0, 2).Draw(t, "ended"))
		default:
			p.print(rapid.IntRange(0, 2).Draw(t, "step"), rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr}).Draw(t, "stream"), text.Draw(t, "text"))
		}
	}
	p.cut(t)
	return p
}

func drawQuery(t *rapid.T, p *printed) logQuery {
	q := logQuery{tail: -1}
	q.stream = rapid.SampledFrom([]job.Stream{"", "", job.Stdout, job.Stderr}).Draw(t, "only stream")
	q.step = rapid.SampledFrom([]string{"", "", "0", "step1"}).Draw(t, "only step")
	if err := q.chooseStep(p.blocks.view()); err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 3).Draw(t, "window") {
	case 0:
		q.tail = int64(rapid.IntRange(0, 30).Draw(t, "tail"))
	case 1:
		q.fromLine = int64(rapid.IntRange(1, 60).Draw(t, "from"))
		q.lines = int64(rapid.IntRange(0, 30).Draw(t, "lines"))
	case 2:
		q.fromTime = p.at.Add(-time.Duration(rapid.IntRange(-2, 70).Draw(t, "ago")) * time.Second)
		q.lines = int64(rapid.IntRange(0, 30).Draw(t, "lines"))
	case 3:
		q.fromLine = 1
	}
	return q
}

func readWindow(t interface{ Fatal(...any) }, p *printed, q logQuery) []byte {
	var out bytes.Buffer
	view := p.blocks.view()
	from, err := firstLine(context.Background(), &p.blocks, view, q)
	if err == nil {
		err = writeLines(context.Background(), &p.blocks, &out, view, q, from)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestWindowsOfLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrinted(t)
		q := drawQuery(t, p)
		want := p.window(q)

		var text []byte
		for _, l := range want {
			text = append(text, l.text...)
		}
		if diff := gocmp.Diff(string(text), string(readWindow(t, p, q))); diff != "" {
			t.Fatalf("text (-want +got):\n%s", diff)
		}

		q.ndjson = true
		dec := json.NewDecoder(bytes.NewReader(readWindow(t, p, q)))
		for _, l := range want {
			var got logLine
			if err := dec.Decode(&got); err != nil {
				t.Fatalf("line %d: %v", l.n, err)
			}
			expect := logLine{N: l.n, At: l.at, Step: l.key.step, Stream: l.key.stream, Open: !l.ended && !l.final}
			expect.Text, expect.Base64 = textOrBase64(bytes.TrimSuffix(l.text, []byte("\n")))
			if diff := gocmp.Diff(expect, got); diff != "" {
				t.Fatalf("line %d (-want +got):\n%s", l.n, diff)
			}
		}
		if dec.More() {
			t.Fatalf("more than the %d lines asked for", len(want))
		}
	})
}

func TestRawLogIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPrinted(t)
		var out bytes.Buffer
		if err := writeRaw(context.Background(), &p.blocks, &out, p.blocks.view(), logQuery{tail: -1}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), p.all) {
			t.Fatalf("printed %q, read %q", p.all, out.Bytes())
		}
		for key, want := range p.raw {
			out.Reset()
			q := logQuery{tail: -1, outputFilter: outputFilter{step: fmt.Sprint(key.step), stream: key.stream}}
			err := cmp.Or(q.chooseStep(p.blocks.view()), writeRaw(context.Background(), &p.blocks, &out, p.blocks.view(), q))
			if err != nil || !bytes.Equal(out.Bytes(), want) {
				t.Fatalf("step %d %s: printed %q, read %q, %v", key.step, key.stream, want, out.Bytes(), err)
			}
		}
	})
}

// A line that never ends must neither hold back the rest for ever nor fill the memory.
func TestALineWithoutEndIsCut(t *testing.T) {
	p := newPrinted(t)
	p.print(0, job.Stderr, "progress")
	filler := strings.Repeat("x", 1<<16-1) + "\n"
	for range heldLines>>16 + 10 {
		p.print(0, job.Stdout, filler)
		p.print(0, job.Stderr, "\r50%")
		p.cut(t)
	}
	p.print(0, job.Stderr, " done\n")
	p.cut(t)

	text := readWindow(t, p, logQuery{tail: -1, fromLine: 1})
	if len(text) != len(p.all) {
		t.Fatalf("printed %d bytes, read %d", len(p.all), len(text))
	}
	lines := bytes.Split(bytes.TrimSpace(readWindow(t, p, logQuery{tail: -1, ndjson: true})), []byte("\n"))
	if len(lines) != len(p.lines) {
		t.Fatalf("%d lines, want %d", len(lines), len(p.lines))
	}
	for i, line := range lines {
		var got logLine
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if got.N != int64(i)+1 {
			t.Fatalf("line %d stands at place %d", got.N, i+1)
		}
		if got.Truncated != (i == 0) {
			t.Fatalf("line %d: truncated is %v", got.N, got.Truncated)
		}
	}

	// A window of a few lines reads on for the rest of the open one, but not for ever.
	p.blocks.reads = 0
	small := readWindow(t, p, logQuery{tail: -1, fromLine: 2, lines: 3})
	if p.blocks.reads > 5 || len(small) != 3<<16 {
		t.Fatalf("3 lines of %d bytes took %d blocks", len(small), p.blocks.reads)
	}
}

func TestALongLineIsTruncatedInJSONOnly(t *testing.T) {
	for _, size := range []int{maxLine - 1, maxLine, maxLine + 1, 3 * maxLine} {
		for _, newline := range []string{"", "\n"} {
			p := newPrinted(t)
			line := strings.Repeat("é", size/2) + strings.Repeat("a", size%2)
			for rest := line + newline; rest != ""; {
				n := min(len(rest), 100_000)
				p.print(0, job.Stdout, rest[:n])
				rest = rest[n:]
			}
			p.cut(t)
			if got := readWindow(t, p, logQuery{tail: 1}); string(got) != line+newline {
				t.Fatalf("%d bytes became %d", len(line+newline), len(got))
			}
			var got logLine
			if err := json.Unmarshal(readWindow(t, p, logQuery{tail: 1, ndjson: true}), &got); err != nil {
				t.Fatal(err)
			}
			if got.Truncated != (size > maxLine) || got.Text == nil || len(*got.Text) != min(size, maxLine) {
				t.Fatalf("%d bytes: truncated %v, %d bytes shown", size, got.Truncated, len(*got.Text))
			}
			if got.Truncated && got.Bytes != int64(size+len(newline)) {
				t.Fatalf("%d bytes: says %d", size, got.Bytes)
			}
		}
	}
}

func TestGapsStandInTheirPlace(t *testing.T) {
	p := newPrinted(t)
	gap := func(bytes int64) {
		p.json(t, journal.TypeGap, job.Gap{Step: 0, Stream: job.Stdout, Bytes: bytes, Reason: "spool full"})
	}
	gap(1)
	p.print(0, job.Stdout, "one\n")
	gap(2)
	p.cut(t)
	p.print(0, job.Stdout, "two\n")
	gap(3)
	p.cut(t)
	for _, c := range []struct {
		q    logQuery
		want string
	}{
		{logQuery{tail: -1}, "gap1 one gap2 two gap3"},
		{logQuery{tail: -1, fromLine: 2}, "two gap3"},
		{logQuery{tail: -1, fromLine: 1, lines: 1}, "gap1 one"},
		{logQuery{tail: 2}, "gap1 one gap2 two gap3"},
		{logQuery{tail: 1}, "two gap3"},
		{logQuery{tail: -1, outputFilter: outputFilter{stream: job.Stderr}}, ""},
	} {
		c.q.ndjson = true
		dec := json.NewDecoder(bytes.NewReader(readWindow(t, p, c.q)))
		var got []string
		for dec.More() {
			var line struct {
				Text string   `json:"text"`
				Gap  *job.Gap `json:"gap"`
			}
			if err := dec.Decode(&line); err != nil {
				t.Fatal(err)
			}
			if line.Gap != nil {
				line.Text = fmt.Sprint("gap", line.Gap.Bytes)
			}
			got = append(got, line.Text)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%+v: got %v, want %s", c.q, got, c.want)
		}
	}
}

// Blocks may be merged between listing and reading them.
func TestCursorFollowsMergedBlocks(t *testing.T) {
	p := newPrinted(t)
	for i := range 6 {
		p.print(0, job.Stdout, fmt.Sprintf("line %d\n", i))
		p.cut(t)
	}
	c := cursor{store: &p.blocks, run: testRun, attempt: 1}
	var got []byte
	for first := true; ; first = false {
		b, ok, err := c.next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		err = b.records(func(rec journal.Record, _ int64) error {
			if rec.Type == journal.TypeOutput {
				o, err := journal.DecodeOutput(rec)
				got = append(got, o.Data...)
				return err
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if first {
			mergeAll(&p.blocks)
		}
	}
	if !bytes.Equal(got, p.all) {
		t.Fatalf("read %q, printed %q", got, p.all)
	}
}

// mergeAll makes one block of all.
func mergeAll(m *memoryBlocks) {
	one := m.heads[0]
	data := slices.Clone(m.data[one.Start])
	for _, h := range m.heads[1:] {
		data = append(data, m.data[h.Start]...)
		one.Size += h.Size
		one.Lines += h.Lines
		one.OutputBytes += h.OutputBytes
	}
	m.heads, m.data = []index.BlockHead{one}, map[int64][]byte{one.Start: data}
}

func TestWholeRunes(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "é": "é", "é"[:1]: "", "a€"[:3]: "a", "a€": "a€", "\xff": "\xff", "\x80\x80\x80\x80\x80": "\x80\x80\x80\x80\x80",
	} {
		if got := string(wholeRunes([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestTextOrBase64(t *testing.T) {
	if text, b := textOrBase64([]byte("é")); text == nil || *text != "é" || b != nil {
		t.Error("UTF-8 must travel as text")
	}
	raw := []byte{0xff, 0}
	_, b := textOrBase64(raw)
	line, err := json.Marshal(logLine{Base64: b})
	if want := base64.StdEncoding.EncodeToString(raw); err != nil || !bytes.Contains(line, []byte(want)) {
		t.Errorf("%s lacks %s: %v", line, want, err)
	}
}

// What is printed after the request came is not part of the answer, so that one that
// follows a busy run ends.
func TestTheAnswerEndsWhereTheLogDid(t *testing.T) {
	p := newPrinted(t)
	p.print(0, job.Stdout, "one\ntw")
	p.cut(t)
	view := p.blocks.view()
	p.print(0, job.Stdout, "o\nthree\n")
	p.cut(t)
	p.json(t, journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: 9})
	p.cut(t)
	for _, c := range []struct {
		q    logQuery
		want string
	}{
		{logQuery{tail: -1}, "one\ntw"},
		{logQuery{tail: -1, fromLine: 1}, "one\ntw"},
		{logQuery{tail: 1}, "tw"},
		{logQuery{tail: -1, fromLine: 3}, ""},
		{logQuery{tail: -1, ndjson: true}, `"one" "tw" open`},
	} {
		var out bytes.Buffer
		from, err := firstLine(context.Background(), &p.blocks, view, c.q)
		if err == nil && c.q.window() {
			err = writeLines(context.Background(), &p.blocks, &out, view, c.q, from)
		} else if err == nil {
			err = writeRaw(context.Background(), &p.blocks, &out, view, c.q)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if c.q.ndjson {
			got = ""
			for dec := json.NewDecoder(&out); dec.More(); {
				var line logLine
				if err := dec.Decode(&line); err != nil {
					t.Fatal(err)
				}
				if line.Text == nil {
					t.Fatalf("no line: %+v", line)
				}
				got += fmt.Sprintf("%q ", *line.Text)
				if line.Open {
					got += "open"
				}
			}
		}
		if got != c.want {
			t.Errorf("%+v: got %q, want %q", c.q, got, c.want)
		}
	}
}
