package server

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const testRun = "0190a0b0-0000-7000-8000-000000000001"

// memoryBlocks holds the blocks of one attempt, made as the store makes them.
type memoryBlocks struct {
	heads []index.BlockHead
	data  map[int64][]byte
	state index.State
	reads atomic.Int64
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
	m.reads.Add(1)
	if d, ok := m.data[start]; ok {
		return d, nil
	}
	return nil, &query.NotFoundError{What: "block"}
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
