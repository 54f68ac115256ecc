// Package logstest creates logs for tests: journals in blocks, like those of the store, and a model of their
// lines.
package logstest

import (
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

// Run is the ID of the run of the journal.
const Run = "0190a0b0-0000-7000-8000-000000000001"

// Blocks holds the blocks of one attempt in the format of the store.
type Blocks struct {
	Heads []index.BlockHead
	Data  map[int64][]byte
	State index.State
	Reads atomic.Int64
}

// Append stores records as one block.
func (m *Blocks) Append(t interface{ Fatal(...any) }, data []byte) {
	if m.Data == nil {
		m.Data, m.State = map[int64][]byte{}, index.NewState(Run, 1)
	}
	f, err := index.Fold(m.State, data)
	if err != nil {
		t.Fatal(err)
	}
	if f.Tail != 0 {
		t.Fatal("append holds half a record")
	}
	m.State = f.State
	m.Heads = append(m.Heads, f.Head)
	m.Data[f.Head.Start] = data[int64(len(data))-f.Head.Size:]
}

// Blocks, BlocksFromLine and BlockData implement logs.Store.
func (m *Blocks) Blocks(_ context.Context, _ string, _ int, from int64, limit int) ([]index.BlockHead, error) {
	for i, h := range m.Heads {
		if h.Start+h.Size > from {
			return m.Heads[i:min(len(m.Heads), i+limit)], nil
		}
	}
	return nil, nil
}

func (m *Blocks) BlocksFromLine(_ context.Context, _ string, _ int, line int64, limit int) ([]index.BlockHead, error) {
	for i, h := range m.Heads {
		if h.FirstLine+h.Lines > line {
			return m.Heads[i:min(len(m.Heads), i+limit)], nil
		}
	}
	return nil, nil
}

func (m *Blocks) BlockData(_ context.Context, _ string, _ int, start int64) ([]byte, error) {
	m.Reads.Add(1)
	if d, ok := m.Data[start]; ok {
		return d, nil
	}
	return nil, &query.NotFoundError{What: "block"}
}

// View returns the run as the store would return it.
func (m *Blocks) View() job.Run {
	v := m.State.View
	v.ID, v.Attempt = Run, 1
	return v
}

// Key names one stream of one step.
type Key struct {
	Step   int
	Stream job.Stream
}

// Line is a line as readers must return it.
type Line struct {
	N     int64
	Key   Key
	At    time.Time
	Text  []byte
	Ended bool // its newline was printed
	Final bool // its step has ended
}

// Printed is a journal and the model of its lines.
type Printed struct {
	At     time.Time
	Blocks Blocks
	buf    []byte
	Lines  []*Line
	open   map[Key]*Line
	Raw    map[Key][]byte
	All    []byte
}

// New returns a journal with three steps.
func New(t interface{ Fatal(...any) }) *Printed {
	p := &Printed{At: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), open: map[Key]*Line{}, Raw: map[Key][]byte{}}
	p.buf = journal.AppendHeader(nil)
	p.JSON(t, journal.TypeAttempt, journal.Attempt{Run: Run, Attempt: 1, Job: "j", Args: []string{"x"}, Host: "h"})
	for i := range 3 {
		p.JSON(t, journal.TypeStepStarted, journal.StepStarted{Index: i, Name: fmt.Sprint("step", i), Kind: job.InstallStep, Command: "x"})
	}
	return p
}

// JSON adds a record.
func (p *Printed) JSON(t interface{ Fatal(...any) }, typ journal.Type, v any) {
	p.At = p.At.Add(time.Second)
	rec, err := journal.JSONRecord(typ, p.At, v)
	if err != nil {
		t.Fatal(err)
	}
	p.buf = journal.AppendRecord(p.buf, rec)
}

// Print adds output.
func (p *Printed) Print(step int, stream job.Stream, data string) {
	p.At = p.At.Add(time.Second)
	key := Key{step, stream}
	p.buf = journal.AppendRecord(p.buf, journal.OutputRecord(p.At, journal.Output{Step: step, Stream: stream, Data: []byte(data)}))
	p.All = append(p.All, data...)
	p.Raw[key] = append(p.Raw[key], data...)
	for _, part := range strings.SplitAfter(data, "\n") {
		if part == "" {
			continue
		}
		line := p.open[key]
		if line == nil {
			line = &Line{N: int64(len(p.Lines)) + 1, Key: key, At: p.At}
			p.Lines = append(p.Lines, line)
			p.open[key] = line
		}
		line.Text = append(line.Text, part...)
		if strings.HasSuffix(part, "\n") {
			line.Ended = true
			delete(p.open, key)
		}
	}
}

// EndStep ends a step.
func (p *Printed) EndStep(t interface{ Fatal(...any) }, step int) {
	p.JSON(t, journal.TypeStepEnded, journal.StepEnded{Index: step, Outcome: job.Outcome{State: job.Succeeded, Reason: job.ExitCode}})
	for _, stream := range []job.Stream{job.Stdout, job.Stderr} {
		if l := p.open[Key{step, stream}]; l != nil {
			l.Final = true
			delete(p.open, Key{step, stream})
		}
	}
}

// Cut ends the current block.
func (p *Printed) Cut(t interface{ Fatal(...any) }) {
	if len(p.buf) > 0 {
		p.Blocks.Append(t, p.buf)
		p.buf = nil
	}
}

// Draw returns a random log.
func Draw(t *rapid.T) *Printed {
	p := New(t)
	text := rapid.SampledFrom([]string{"a", "bc\n", "\n", "d\ne", "f\ng\n", "\r50%", "\xff\n", "", "long long line without end", "é", "\n\nx\n"})
	for range rapid.IntRange(0, 60).Draw(t, "records") {
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			p.Cut(t)
		case 1:
			p.EndStep(t, rapid.IntRange(0, 2).Draw(t, "ended"))
		default:
			p.Print(rapid.IntRange(0, 2).Draw(t, "step"), rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr}).Draw(t, "stream"), text.Draw(t, "text"))
		}
	}
	p.Cut(t)
	return p
}
