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

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

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
	p.blocks.reads.Store(0)
	small := readWindow(t, p, logQuery{tail: -1, fromLine: 2, lines: 3})
	if p.blocks.reads.Load() > 5 || len(small) != 3<<16 {
		t.Fatalf("3 lines of %d bytes took %d blocks", len(small), p.blocks.reads.Load())
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
