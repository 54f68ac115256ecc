package logs

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
	"stint.dev/stint/internal/logs/logstest"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

func TestWindowsOfLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := logstest.Draw(t)
		q := drawQuery(t, p)
		want := linesOf(p, q)

		var text []byte
		for _, l := range want {
			text = append(text, l.Text...)
		}
		if diff := gocmp.Diff(string(text), string(readWindow(t, p, q))); diff != "" {
			t.Fatalf("text (-want +got):\n%s", diff)
		}

		q.NDJSON = true
		dec := json.NewDecoder(bytes.NewReader(readWindow(t, p, q)))
		for _, l := range want {
			var got LogLine
			if err := dec.Decode(&got); err != nil {
				t.Fatalf("line %d: %v", l.N, err)
			}
			expect := LogLine{N: l.N, At: l.At, Step: l.Key.Step, Stream: l.Key.Stream, Open: !l.Ended && !l.Final}
			expect.Text, expect.Base64 = TextOrBase64(bytes.TrimSuffix(l.Text, []byte("\n")))
			if diff := gocmp.Diff(expect, got); diff != "" {
				t.Fatalf("line %d (-want +got):\n%s", l.N, diff)
			}
		}
		if dec.More() {
			t.Fatalf("more than the %d lines asked for", len(want))
		}
	})
}

func TestRawLogIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := logstest.Draw(t)
		var out bytes.Buffer
		if err := WriteRaw(context.Background(), &p.Blocks, &out, p.Blocks.View(), Filter{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(out.Bytes(), p.All) {
			t.Fatalf("printed %q, read %q", p.All, out.Bytes())
		}
		for key, want := range p.Raw {
			out.Reset()
			q := Window{Tail: -1, Filter: Filter{Step: fmt.Sprint(key.Step), Stream: key.Stream}}
			err := cmp.Or(q.ChooseStep(p.Blocks.View()), WriteRaw(context.Background(), &p.Blocks, &out, p.Blocks.View(), q.Filter))
			if err != nil || !bytes.Equal(out.Bytes(), want) {
				t.Fatalf("step %d %s: printed %q, read %q, %v", key.Step, key.Stream, want, out.Bytes(), err)
			}
		}
	})
}

// A line that never ends must neither hold back the rest for ever nor fill the memory.
func TestALineWithoutEndIsCut(t *testing.T) {
	p := logstest.New(t)
	p.Print(0, job.Stderr, "progress")
	filler := strings.Repeat("x", 1<<16-1) + "\n"
	for range heldLines>>16 + 10 {
		p.Print(0, job.Stdout, filler)
		p.Print(0, job.Stderr, "\r50%")
		p.Cut(t)
	}
	p.Print(0, job.Stderr, " done\n")
	p.Cut(t)

	text := readWindow(t, p, Window{Tail: -1, FromLine: 1})
	if len(text) != len(p.All) {
		t.Fatalf("printed %d bytes, read %d", len(p.All), len(text))
	}
	lines := bytes.Split(bytes.TrimSpace(readWindow(t, p, Window{Tail: -1, NDJSON: true})), []byte("\n"))
	if len(lines) != len(p.Lines) {
		t.Fatalf("%d lines, want %d", len(lines), len(p.Lines))
	}
	for i, line := range lines {
		var got LogLine
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatal(err)
		}
		if got.N != int64(i)+1 {
			t.Fatalf("line %d is at place %d", got.N, i+1)
		}
		if got.Truncated != (i == 0) {
			t.Fatalf("line %d: truncated is %v", got.N, got.Truncated)
		}
	}

	// A window of a few lines reads on for the rest of the open one, but not for ever.
	p.Blocks.Reads.Store(0)
	small := readWindow(t, p, Window{Tail: -1, FromLine: 2, Lines: 3})
	if p.Blocks.Reads.Load() > 5 || len(small) != 3<<16 {
		t.Fatalf("3 lines of %d bytes took %d blocks", len(small), p.Blocks.Reads.Load())
	}
}

func TestALongLineIsTruncatedInJSONOnly(t *testing.T) {
	for _, size := range []int{maxLine - 1, maxLine, maxLine + 1, 3 * maxLine} {
		for _, newline := range []string{"", "\n"} {
			p := logstest.New(t)
			line := strings.Repeat("é", size/2) + strings.Repeat("a", size%2)
			for rest := line + newline; rest != ""; {
				n := min(len(rest), 100_000)
				p.Print(0, job.Stdout, rest[:n])
				rest = rest[n:]
			}
			p.Cut(t)
			if got := readWindow(t, p, Window{Tail: 1}); string(got) != line+newline {
				t.Fatalf("%d bytes became %d", len(line+newline), len(got))
			}
			var got LogLine
			if err := json.Unmarshal(readWindow(t, p, Window{Tail: 1, NDJSON: true}), &got); err != nil {
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
	p := logstest.New(t)
	gap := func(bytes int64) {
		p.JSON(t, journal.TypeGap, job.Gap{Step: 0, Stream: job.Stdout, Bytes: bytes, Reason: "spool full"})
	}
	gap(1)
	p.Print(0, job.Stdout, "one\n")
	gap(2)
	p.Cut(t)
	p.Print(0, job.Stdout, "two\n")
	gap(3)
	p.Cut(t)
	for _, c := range []struct {
		q    Window
		want string
	}{
		{Window{Tail: -1}, "gap1 one gap2 two gap3"},
		{Window{Tail: -1, FromLine: 2}, "two gap3"},
		{Window{Tail: -1, FromLine: 1, Lines: 1}, "gap1 one"},
		{Window{Tail: 2}, "gap1 one gap2 two gap3"},
		{Window{Tail: 1}, "two gap3"},
		{Window{Tail: -1, Filter: Filter{Stream: job.Stderr}}, ""},
	} {
		c.q.NDJSON = true
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
	p := logstest.New(t)
	for i := range 6 {
		p.Print(0, job.Stdout, fmt.Sprintf("line %d\n", i))
		p.Cut(t)
	}
	c := Cursor{Store: &p.Blocks, Run: logstest.Run, Attempt: 1}
	var got []byte
	for first := true; ; first = false {
		b, ok, err := c.Next(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		err = b.Records(func(rec journal.Record, _ int64) error {
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
			mergeAll(&p.Blocks)
		}
	}
	if !bytes.Equal(got, p.All) {
		t.Fatalf("read %q, printed %q", got, p.All)
	}
}

// mergeAll makes one block of all.
func mergeAll(m *logstest.Blocks) {
	one := m.Heads[0]
	data := slices.Clone(m.Data[one.Start])
	for _, h := range m.Heads[1:] {
		data = append(data, m.Data[h.Start]...)
		one.Size += h.Size
		one.Lines += h.Lines
		one.OutputBytes += h.OutputBytes
	}
	m.Heads, m.Data = []index.BlockHead{one}, map[int64][]byte{one.Start: data}
}

func TestWholeRunes(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "a": "a", "é": "é", "é"[:1]: "", "a€"[:3]: "a", "a€": "a€", "\xff": "\xff", "\x80\x80\x80\x80\x80": "\x80\x80\x80\x80\x80",
	} {
		if got := string(WholeRunes([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestTextOrBase64(t *testing.T) {
	if text, b := TextOrBase64([]byte("é")); text == nil || *text != "é" || b != nil {
		t.Error("UTF-8 must travel as text")
	}
	raw := []byte{0xff, 0}
	_, b := TextOrBase64(raw)
	line, err := json.Marshal(LogLine{Base64: b})
	if want := base64.StdEncoding.EncodeToString(raw); err != nil || !bytes.Contains(line, []byte(want)) {
		t.Errorf("%s lacks %s: %v", line, want, err)
	}
}

// What is printed after the request came is not part of the answer, so that one that
// follows a busy run ends.
func TestTheAnswerEndsWhereTheLogDid(t *testing.T) {
	p := logstest.New(t)
	p.Print(0, job.Stdout, "one\ntw")
	p.Cut(t)
	view := p.Blocks.View()
	p.Print(0, job.Stdout, "o\nthree\n")
	p.Cut(t)
	p.JSON(t, journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: 9})
	p.Cut(t)
	for _, c := range []struct {
		q    Window
		want string
	}{
		{Window{Tail: -1}, "one\ntw"},
		{Window{Tail: -1, FromLine: 1}, "one\ntw"},
		{Window{Tail: 1}, "tw"},
		{Window{Tail: -1, FromLine: 3}, ""},
		{Window{Tail: -1, NDJSON: true}, `"one" "tw" open`},
	} {
		var out bytes.Buffer
		from, err := FirstLine(context.Background(), &p.Blocks, view, c.q)
		if err == nil && c.q.ByLine() {
			err = WriteLines(context.Background(), &p.Blocks, &out, view, c.q, from)
		} else if err == nil {
			err = WriteRaw(context.Background(), &p.Blocks, &out, view, c.q.Filter)
		}
		if err != nil {
			t.Fatal(err)
		}
		got := out.String()
		if c.q.NDJSON {
			got = ""
			for dec := json.NewDecoder(&out); dec.More(); {
				var line LogLine
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

// linesOf is what the model says of a query.
func linesOf(p *logstest.Printed, q Window) []*logstest.Line {
	var out []*logstest.Line
	for _, l := range p.Lines {
		if l.N >= q.FromLine && q.Match(l.Key.Step, l.Key.Stream) && !l.At.Before(q.FromTime) {
			out = append(out, l)
		}
	}
	if q.Tail >= 0 {
		return out[max(0, int64(len(out))-q.Tail):]
	}
	if q.Lines > 0 {
		return out[:min(int64(len(out)), q.Lines)]
	}
	return out
}

func drawQuery(t *rapid.T, p *logstest.Printed) Window {
	q := Window{Tail: -1}
	q.Stream = rapid.SampledFrom([]job.Stream{"", "", job.Stdout, job.Stderr}).Draw(t, "only stream")
	q.Step = rapid.SampledFrom([]string{"", "", "0", "step1"}).Draw(t, "only step")
	if err := q.ChooseStep(p.Blocks.View()); err != nil {
		t.Fatal(err)
	}
	switch rapid.IntRange(0, 3).Draw(t, "window") {
	case 0:
		q.Tail = int64(rapid.IntRange(0, 30).Draw(t, "tail"))
	case 1:
		q.FromLine = int64(rapid.IntRange(1, 60).Draw(t, "from"))
		q.Lines = int64(rapid.IntRange(0, 30).Draw(t, "lines"))
	case 2:
		q.FromTime = p.At.Add(-time.Duration(rapid.IntRange(-2, 70).Draw(t, "ago")) * time.Second)
		q.Lines = int64(rapid.IntRange(0, 30).Draw(t, "lines"))
	case 3:
		q.FromLine = 1
	}
	return q
}

func readWindow(t interface{ Fatal(...any) }, p *logstest.Printed, q Window) []byte {
	var out bytes.Buffer
	view := p.Blocks.View()
	from, err := FirstLine(context.Background(), &p.Blocks, view, q)
	if err == nil {
		err = WriteLines(context.Background(), &p.Blocks, &out, view, q, from)
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
