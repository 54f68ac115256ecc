package index

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

const testRun = "0199aaaa-0000-7000-8000-000000000001"

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// writing is a journal under construction, one second a record.
type writing struct {
	tb interface {
		Helper()
		Fatal(args ...any)
	}
	buf bytes.Buffer
	w   *journal.Writer
	at  time.Time
}

func identity() journal.Attempt {
	return journal.Attempt{
		Run: testRun, Attempt: 1, Job: "train", Args: []string{"python", "train.py"}, Host: "box",
		Labels: map[string]string{"team": "ml"}, HeartbeatPeriodMS: 5000, AgentVersion: "1",
	}
}

func write(tb interface {
	Helper()
	Fatal(args ...any)
}, a journal.Attempt,
) *writing {
	tb.Helper()
	j := &writing{tb: tb, at: noon}
	w, err := journal.NewWriter(&j.buf)
	if err != nil {
		tb.Fatal(err)
	}
	j.w = w
	return j.json(journal.TypeAttempt, a)
}

func (j *writing) json(typ journal.Type, v any) *writing {
	j.tb.Helper()
	j.at = j.at.Add(time.Second)
	if err := j.w.AppendJSON(typ, j.at, v); err != nil {
		j.tb.Fatal(err)
	}
	return j
}

func (j *writing) step(index int, kind job.StepKind) *writing {
	j.tb.Helper()
	return j.json(journal.TypeStepStarted, journal.StepStarted{Index: index, Name: fmt.Sprint("step ", index), Kind: kind, Command: "make"})
}

func (j *writing) stepEnd(index, code int) *writing {
	j.tb.Helper()
	return j.json(journal.TypeStepEnded, journal.StepEnded{Index: index, Outcome: job.Classify(job.Ending{ExitCode: code})})
}

func (j *writing) out(step int, stream job.Stream, data string) *writing {
	j.tb.Helper()
	j.at = j.at.Add(time.Second)
	if err := j.w.Append(journal.OutputRecord(j.at, journal.Output{Step: step, Stream: stream, Data: []byte(data)})); err != nil {
		j.tb.Fatal(err)
	}
	return j
}

func (j *writing) end(o job.Outcome) *writing {
	j.tb.Helper()
	j.at = j.at.Add(time.Second)
	if err := j.w.Finish(j.at, journal.Final{Outcome: o, Usage: job.Usage{CPUSeconds: 9}}); err != nil {
		j.tb.Fatal(err)
	}
	return j
}

func (j *writing) bytes() []byte { return bytes.Clone(j.buf.Bytes()) }

var good = job.Classify(job.Ending{Step: "command", Kind: job.CommandStep})

func mustFold(t *testing.T, s State, data []byte) FoldResult {
	t.Helper()
	f, err := Fold(s, data)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFoldWholeJournal(t *testing.T) {
	j := write(t, identity()).step(0, job.InstallStep).out(0, job.Stdout, "got it\n").stepEnd(0, 0).
		step(1, job.CommandStep).out(1, job.Stdout, "a\nb").out(1, job.Stderr, "oops\n").out(1, job.Stdout, "c\rd\n").
		json(journal.TypeSample, job.Sample{CPUSeconds: 2, MemoryBytes: 50, PeakBytes: 70, Processes: 3}).
		json(journal.TypeStatus, journal.Status{Text: "epoch 3"}).
		json(journal.TypeNote, journal.Note{Step: -1, Text: "no limit"}).
		stepEnd(1, 0).end(good)
	f := mustFold(t, NewState(testRun, 1), j.bytes())

	v := f.State.View
	if v.State != job.Succeeded || !v.Output.Complete || v.Output.Lines != 4 || v.Output.Bytes != 19 {
		t.Errorf("view: %+v", v)
	}
	want := job.Usage{CPUSeconds: 9, PeakMemoryBytes: 50, PeakMemoryWithCacheBytes: 70}
	if diff := cmp.Diff(want, v.Usage); diff != "" {
		t.Error("usage (-want +got):", diff)
	}
	if v.Status != "epoch 3" || len(v.Notes) != 1 || v.Job != "train" || v.Command != "python train.py" || v.Host != "box" {
		t.Errorf("view: %+v", v)
	}
	if f.Head.Start != journal.HeaderSize || f.Head.Size != int64(j.buf.Len())-journal.HeaderSize || f.Head.FirstLine != 1 || f.Head.Lines != 4 || f.Head.OutputBytes != 19 {
		t.Errorf("head: %+v", f.Head)
	}
	var kinds []job.EventKind
	for _, fact := range f.Facts {
		kinds = append(kinds, fact.Event.Kind)
	}
	if diff := cmp.Diff([]job.EventKind{job.AttemptStarted, job.InstallStarted, job.CommandStarted, job.Ended}, kinds); diff != "" {
		t.Error("facts (-want +got):", diff)
	}
	if f.State.HeartbeatPeriod != 5*time.Second || !f.State.Ended || len(f.Samples) != 1 {
		t.Errorf("state: %+v", f.State)
	}
}

// Lines are numbered in the order of their first byte; one that is open when a block
// begins is named in its head, with the block in which it began.
func TestFoldOpenLines(t *testing.T) {
	j := write(t, identity()).step(0, job.CommandStep).out(0, job.Stdout, "one\ntwo").out(0, job.Stderr, "err")
	first := mustFold(t, NewState(testRun, 1), j.bytes())
	if first.Head.Lines != 3 || first.State.NextLine != 4 || first.State.View.Output.Lines != 3 {
		t.Fatalf("first: %+v", first.Head)
	}
	j.buf.Reset()
	j.out(0, job.Stdout, " and more").out(0, job.Stderr, "\n").out(0, job.Stdout, "\nfour\n")
	second := mustFold(t, first.State, j.bytes())
	want := []OpenLine{
		{Step: 0, Stream: job.Stdout, Line: 2, Block: journal.HeaderSize},
		{Step: 0, Stream: job.Stderr, Line: 3, Block: journal.HeaderSize},
	}
	if diff := cmp.Diff(want, second.Head.Open); diff != "" {
		t.Error("open lines (-want +got):", diff)
	}
	if second.Head.FirstLine != 4 || second.Head.Lines != 1 || second.Head.OutputStart != 10 {
		t.Errorf("second: %+v", second.Head)
	}
	if open := second.State.openLines(); open != nil {
		t.Errorf("still open: %+v", open)
	}
}

func TestFoldRefuses(t *testing.T) {
	other := identity()
	other.Run = "0199aaaa-0000-7000-8000-000000000002"
	badJob := identity()
	badJob.Job = "a/b"
	badLabel := identity()
	badLabel.Labels = map[string]string{"a=b": "c"}
	many := identity()
	many.Labels = map[string]string{}
	for i := range job.MaxLabels + 1 {
		many.Labels[fmt.Sprint("k", i)] = "v"
	}
	ended := write(t, identity()).end(good).bytes()
	torn := write(t, identity()).out(0, job.Stdout, "x").bytes()
	torn[len(torn)-1] ^= 1
	tests := map[string]struct {
		data    []byte
		refused bool // else corrupt
	}{
		"another run":          {write(t, other).bytes(), true},
		"bad job name":         {write(t, badJob).bytes(), true},
		"bad label":            {write(t, badLabel).bytes(), true},
		"too many labels":      {write(t, many).bytes(), true},
		"after the outcome":    {append(bytes.Clone(ended), 1), true},
		"not a journal":        {[]byte("GET / HTTP/1.1\r\n\r\n"), false},
		"one wrong byte":       {[]byte("X"), false},
		"bad checksum":         {torn, false},
		"no identity":          {journal.AppendRecord(journal.AppendHeader(nil), journal.OutputRecord(noon, journal.Output{Stream: job.Stdout})), false},
		"two identities":       {write(t, identity()).json(journal.TypeAttempt, identity()).bytes(), false},
		"step twice":           {write(t, identity()).step(0, job.CommandStep).step(0, job.CommandStep).bytes(), false},
		"step of no kind":      {write(t, identity()).step(0, "party").bytes(), false},
		"end of no step":       {write(t, identity()).stepEnd(3, 0).bytes(), false},
		"outcome is no end":    {write(t, identity()).end(job.Outcome{State: job.Running}).bytes(), false},
		"JSON of another sort": {write(t, identity()).json(journal.TypeNote, "text").bytes(), false},
		"negative gap":         {write(t, identity()).json(journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: -1}).bytes(), false},
		"gap of no stream":     {write(t, identity()).json(journal.TypeGap, job.Gap{Stream: "x"}).bytes(), false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Fold(NewState(testRun, 1), tt.data)
			var refused *RefusedError
			var corrupt *journal.CorruptError
			if tt.refused && !errors.As(err, &refused) || !tt.refused && !errors.As(err, &corrupt) {
				t.Errorf("error %v (%T)", err, err)
			}
		})
	}
}

func TestFoldNewerFormat(t *testing.T) {
	header := journal.AppendHeader(nil)
	header[8] = 9
	_, err := Fold(NewState(testRun, 1), rechecked(header))
	var newer *journal.NewerError
	if !errors.As(err, &newer) {
		t.Errorf("error %v", err)
	}
}

// Whatever a journal says, what is remembered of it stays small.
func TestFoldBoundsHostileJournal(t *testing.T) {
	a := identity()
	a.Args = []string{strings.Repeat("x", 500_000), "y"}
	a.Host, a.Dir = strings.Repeat("h", 100_000), "a\x00b"
	j := write(t, a)
	for i := range maxSteps {
		j.json(journal.TypeStepStarted, journal.StepStarted{Index: i, Name: strings.Repeat("n", 1000), Kind: job.InstallStep, Command: strings.Repeat("c", 20_000)})
		j.out(i, job.Stdout, "x")
	}
	for range 3 * maxNotes {
		j.json(journal.TypeNote, journal.Note{Text: strings.Repeat("é", 5000)})
	}
	for range 3 * maxGaps {
		j.json(journal.TypeGap, job.Gap{Stream: job.Stderr, Bytes: 2, Lines: 1, Reason: strings.Repeat("r", 5000)})
	}
	f := mustFold(t, NewState(testRun, 1), j.bytes())
	encoded := marshal(t, f.State)
	if len(encoded) > 3<<20 {
		t.Errorf("state of %d bytes", len(encoded))
	}
	v := f.State.View
	if len(v.Notes) != maxNotes || v.Notes[maxNotes-1] != "(201 more notes are only in the journal)" {
		t.Errorf("%d notes, last %q", len(v.Notes), v.Notes[len(v.Notes)-1])
	}
	var lost int64
	for _, g := range v.Output.Gaps {
		lost += g.Bytes
	}
	if len(v.Output.Gaps) != maxGaps || lost != 6*maxGaps {
		t.Errorf("%d gaps of %d bytes", len(v.Output.Gaps), lost)
	}
	if strings.Contains(v.Dir, "\x00") {
		t.Errorf("dir %q", v.Dir)
	}
	j.buf.Reset()
	_, err := Fold(f.State, j.step(maxSteps, job.InstallStep).bytes())
	var refused *RefusedError
	if !errors.As(err, &refused) {
		t.Errorf("step %d: %v", maxSteps, err)
	}
}

func TestIncompleteWhenDigestOrGapSaysSo(t *testing.T) {
	j := write(t, identity()).json(journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: 5}).end(good)
	if mustFold(t, NewState(testRun, 1), j.bytes()).State.View.Output.Complete {
		t.Error("complete in spite of a gap")
	}
	for name, final := range map[string]func(size int64) journal.Final{
		"wrong digest": func(size int64) journal.Final { return journal.Final{Outcome: good, Bytes: size, Digest: "00"} },
		"wrong length": func(size int64) journal.Final { return journal.Final{Outcome: good, Bytes: size + 1} },
	} {
		w := write(t, identity())
		w.json(journal.TypeOutcome, final(w.w.Size()))
		if mustFold(t, NewState(testRun, 1), w.bytes()).State.View.Output.Complete {
			t.Error("complete in spite of a", name)
		}
	}
}

func TestUnknownRecordsAreSkippedAndCounted(t *testing.T) {
	data := journal.AppendRecord(write(t, identity()).bytes(), journal.Record{Type: 200, At: noon, Payload: []byte("future")})
	f := mustFold(t, NewState(testRun, 1), data)
	if f.State.Skipped != 1 || f.State.Size != int64(len(data)) {
		t.Errorf("state: %+v", f.State)
	}
}

// However a journal is cut into appends, state, lines and facts come out the same, and a
// corrupt append leaves the state before it as it was.
func TestFoldAnySplit(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		data := drawJournal(rt)
		whole, err := Fold(NewState(testRun, 1), data)
		if err != nil {
			rt.Fatal(err)
		}
		cuts := rapid.SliceOfN(rapid.IntRange(0, len(data)), 0, 12).Draw(rt, "cuts")
		got := foldInParts(rt, data, cuts)
		ignore := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Streams.Block" }, cmp.Ignore())
		if diff := cmp.Diff(whole.State, got.State, ignore); diff != "" {
			rt.Fatal("state (-whole +split):", diff)
		}
		if diff := cmp.Diff(whole.Facts, got.Facts); diff != "" {
			rt.Fatal("facts (-whole +split):", diff)
		}
		if diff := cmp.Diff(whole.Samples, got.Samples); diff != "" {
			rt.Fatal("samples (-whole +split):", diff)
		}
		head := got.Head
		head.Open, whole.Head.Open = nil, nil
		if diff := cmp.Diff(whole.Head, head); diff != "" {
			rt.Fatal("joined heads (-whole +split):", diff)
		}
	})
}

// foldInParts folds data cut at the given places, and joins what came out.
func foldInParts(rt *rapid.T, data []byte, cuts []int) FoldResult {
	at := map[int]bool{len(data): true}
	for _, c := range cuts {
		at[c] = true
	}
	all := FoldResult{State: NewState(testRun, 1)}
	var part []byte
	for i := range data {
		part = append(part, data[i])
		if !at[i+1] {
			continue
		}
		before := marshal(rt, all.State)
		if len(part) > journal.FrameSize && all.State.Size > 0 {
			broken := bytes.Clone(part)
			broken[0] ^= 0xff
			if f, err := Fold(all.State, broken); err == nil && f.Tail < len(broken) {
				rt.Fatal("a broken record was taken")
			}
		}
		f, err := Fold(all.State, part)
		if err != nil {
			rt.Fatal(err)
		}
		if !bytes.Equal(before, marshal(rt, all.State)) {
			rt.Fatal("fold changed the state it was given")
		}
		if f.Head.Size > 0 {
			if all.Head.Size == 0 {
				all.Head = f.Head
			} else {
				all.Head = JoinHeads(all.Head, f.Head)
			}
		}
		all.State = unmarshal(rt, marshal(rt, f.State))
		all.Facts, all.Samples = append(all.Facts, f.Facts...), append(all.Samples, f.Samples...)
		part = part[len(part)-f.Tail:]
	}
	return all
}

func drawJournal(rt *rapid.T) []byte {
	j := write(rt, identity()).step(0, job.InstallStep)
	n := rapid.IntRange(0, 20).Draw(rt, "records")
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab\r\n\n")), 0, 20, -1)
	for range n {
		stream := rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr}).Draw(rt, "stream")
		switch rapid.IntRange(0, 5).Draw(rt, "what") {
		case 0:
			j.json(journal.TypeSample, job.Sample{At: j.at, CPUSeconds: 1, MemoryBytes: int64(n)})
		case 1:
			j.json(journal.TypeGap, job.Gap{Stream: stream, Bytes: 3, Lines: 1, At: j.at})
		default:
			j.out(0, stream, text.Draw(rt, "text"))
		}
	}
	j.stepEnd(0, 0)
	if rapid.Bool().Draw(rt, "ended") {
		j.end(good)
	}
	return j.bytes()
}

func TestLongestSilence(t *testing.T) {
	j := write(t, identity())
	j.step(0, job.CommandStep)
	j.at = j.at.Add(7 * time.Second)
	j.out(0, job.Stdout, "a\n")
	j.at = j.at.Add(3 * time.Second)
	j.out(0, job.Stderr, "b\n")
	j.at = j.at.Add(20 * time.Second)
	j.stepEnd(0, 0)
	j.at = j.at.Add(time.Hour)
	j.end(good)
	f := mustFold(t, NewState(testRun, 1), j.bytes())
	if got := f.State.View.Output.LongestSilenceSeconds; got < 20 || got > 21 {
		t.Errorf("longest silence %v s", got)
	}
}
