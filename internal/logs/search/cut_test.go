package search

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/logs"
	"stint.dev/stint/internal/logs/logstest"
	"stint.dev/stint/job"
)

// cutMiddle deletes some blocks between the first and the last, as the store does with long
// journals, and returns the lines that are still complete.
func cutMiddle(t *rapid.T, p *logstest.Printed) (whole map[int64]bool, dropped int64) {
	heads := p.Blocks.Heads
	low := rapid.IntRange(1, len(heads)-2).Draw(t, "first dropped")
	high := rapid.IntRange(low+1, len(heads)-1).Draw(t, "behind dropped")
	whole = map[int64]bool{}
	for i, h := range heads {
		for n := h.FirstLine; n < h.FirstLine+h.Lines; n++ {
			whole[n] = i < low || i >= high
		}
	}
	for _, h := range heads[low : high+1] {
		for _, open := range h.Open {
			whole[open.Line] = false
		}
	}
	for _, h := range heads[low:high] {
		dropped += h.OutputBytes
	}
	p.Blocks.Heads = slices.Concat(heads[:low], heads[high:])
	gap := job.Gap{Stream: job.Stdout, Bytes: dropped, Reason: index.CutReason}
	p.Blocks.State.View.Output.Gaps = []job.Gap{gap}
	return whole, dropped
}

func TestReadersGoOnBehindWhatWasDropped(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := logstest.Draw(t)
		for range 3 { // enough blocks to delete some
			p.Cut(t)
			p.Print(0, job.Stdout, "a line of the log\nand a")
		}
		p.Cut(t)
		d := drawSearch(t, p)
		whole, dropped := cutMiddle(t, p)
		want := slices.DeleteFunc(slices.Clone(d.want), func(n int64) bool { return !whole[n] })
		only := func(all []int64) []int64 {
			all = slices.DeleteFunc(all, func(n int64) bool { return !whole[n] })
			slices.Sort(all)
			return all
		}
		if got := only(doSearch(t, p, d.q).numbers(false)); !slices.Equal(got, want) {
			t.Fatalf("found %v, want %v", got, want)
		}
		back := d.q
		back.Back = true
		if got := only(doSearch(t, p, back).numbers(false)); !slices.Equal(got, want) {
			t.Fatalf("backwards found %v, want %v", got, want)
		}

		var raw bytes.Buffer
		if err := logs.WriteRaw(context.Background(), &p.Blocks, &raw, p.Blocks.View(), logs.Filter{}); err != nil {
			t.Fatal(err)
		}
		if int64(raw.Len()) != int64(len(p.All))-dropped {
			t.Fatalf("%d bytes, want %d less %d", raw.Len(), len(p.All), dropped)
		}
		checkLinesAround(t, p, whole)
	})
}

// checkLinesAround reads all lines as NDJSON.
func checkLinesAround(t *rapid.T, p *logstest.Printed, whole map[int64]bool) {
	gaps, seen := 0, map[int64]bool{}
	var out bytes.Buffer
	q := logs.Window{FromLine: 1, Tail: -1, NDJSON: true}
	if err := logs.WriteLines(context.Background(), &p.Blocks, &out, p.Blocks.View(), q, q.FromLine); err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(out.Bytes()) {
		var one struct {
			logs.LogLine
			Gap *job.Gap
		}
		if err := json.Unmarshal(line, &one); err != nil {
			t.Fatal(err)
		}
		if one.Gap != nil {
			gaps++
			continue
		}
		seen[one.N] = true
		if text := string(bytes.TrimSuffix(p.Lines[one.N-1].Text, []byte("\n"))); whole[one.N] && one.Text != nil && *one.Text != text {
			t.Fatalf("line %d is %q, want %q", one.N, *one.Text, text)
		}
	}
	if gaps != 1 {
		t.Fatalf("%d gaps are shown", gaps)
	}
	for n, w := range whole {
		if w && !seen[n] {
			t.Fatalf("line %d is missing", n)
		}
	}
}
