package journal_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

// final reads the outcome of a journal and checks its own proof: length and digest of what
// comes before it.
func final(t interface{ Fatalf(string, ...any) }, whole []byte) journal.Final {
	d := journal.NewDigester()
	d.Header(whole)
	for off := journal.HeaderSize; off < len(whole); {
		rec, n, err := journal.Next(whole[off:], int64(off))
		if err != nil {
			t.Fatalf("at %d: %v", off, err)
		}
		if rec.Type == journal.TypeOutcome {
			var f journal.Final
			if err := journal.Decode(rec, &f); err != nil {
				t.Fatalf("%v", err)
			}
			if f.Bytes != int64(off) || f.Digest != d.Sum() {
				t.Fatalf("the outcome claims %d bytes, digest %s; there are %d, digest %s", f.Bytes, f.Digest, off, d.Sum())
			}
			if off+n != len(whole) {
				t.Fatalf("%d bytes follow the outcome", len(whole)-off-n)
			}
			return f
		}
		d.Record(whole[off : off+n])
		off += n
	}
	t.Fatalf("no outcome")
	return journal.Final{}
}

func TestOutcomeProvesTheWhole(t *testing.T) {
	if f := final(t, sample(t)); f.Outcome.State != job.Succeeded {
		t.Errorf("outcome %+v", f.Outcome)
	}
}

// A writer that dies at any byte is resumed at the last whole record, and the journal that
// results is whole and proves itself.
func TestResumeAfterEveryCut(t *testing.T) {
	whole := sample(t)
	for cut := range len(whole) + 1 {
		r, err := journal.Recover(bytes.NewReader(whole[:cut]))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if r.Size+r.Torn != int64(cut) {
			t.Fatalf("cut at %d: %d whole and %d torn", cut, r.Size, r.Torn)
		}
		if r.Ended != (cut == len(whole)) {
			t.Fatalf("cut at %d: ended = %v", cut, r.Ended)
		}
		buf := bytes.NewBuffer(bytes.Clone(whole[:r.Size]))
		w := journal.ResumeWriter(buf, r)
		if r.Ended {
			if err := w.Finish(start, journal.Final{}); !errors.Is(err, journal.ErrEnded) {
				t.Fatalf("a second outcome: %v", err)
			}
			continue
		}
		if err := w.AppendJSON(journal.TypeNote, start, journal.Note{Step: -1, Text: "the agent died"}); err != nil {
			t.Fatal(err)
		}
		if err := w.Finish(start, journal.Final{Outcome: job.Unfinished(false, r.LastAt)}); err != nil {
			t.Fatal(err)
		}
		if w.Size() != int64(buf.Len()) {
			t.Fatalf("cut at %d: Size() = %d of %d", cut, w.Size(), buf.Len())
		}
		if f := final(t, buf.Bytes()); f.Outcome.Reason != job.AgentLost {
			t.Fatalf("cut at %d: %+v", cut, f.Outcome)
		}
	}
}

func TestFinishAloneAfterATornHeader(t *testing.T) {
	r, err := journal.Recover(strings.NewReader("STINT"))
	if err != nil || r.Size != 0 || r.Torn != 5 {
		t.Fatalf("%+v, %v", r, err)
	}
	var buf bytes.Buffer
	if err := journal.ResumeWriter(&buf, r).Finish(start, journal.Final{}); err != nil {
		t.Fatal(err)
	}
	final(t, buf.Bytes())
}

func TestRecoverTellsWhatIsOpen(t *testing.T) {
	var buf bytes.Buffer
	w, _ := journal.NewWriter(&buf)
	check := func(open int, ended bool) {
		t.Helper()
		r, err := journal.Recover(bytes.NewReader(buf.Bytes()))
		if err != nil || r.Open != open || r.Ended != ended || r.Torn != 0 || r.Size != w.Size() {
			t.Errorf("Recover = %+v, %v; want open step %d, ended %v", r, err, open, ended)
		}
	}
	put := func(k journal.Type, v any) {
		t.Helper()
		if err := w.AppendJSON(k, start, v); err != nil {
			t.Fatal(err)
		}
	}
	check(-1, false)
	put(journal.TypeAttempt, journal.Attempt{Run: "r", Job: "train", BootID: "b"})
	check(-1, false)
	put(journal.TypeStepStarted, journal.StepStarted{Index: 0})
	check(0, false)
	put(journal.TypeStepEnded, journal.StepEnded{Index: 0})
	check(-1, false)
	put(journal.TypeStepStarted, journal.StepStarted{Index: 1})
	check(1, false)
	r, _ := journal.Recover(bytes.NewReader(buf.Bytes()))
	if r.Attempt.Job != "train" || r.Attempt.BootID != "b" || !r.LastAt.Equal(start) {
		t.Errorf("identity or time lost: %+v", r)
	}
	put(journal.TypeStepEnded, journal.StepEnded{Index: 1})
	if err := w.Finish(start, journal.Final{Usage: job.Usage{CPUSeconds: 3}}); err != nil {
		t.Fatal(err)
	}
	check(-1, true)
	r, _ = journal.Recover(bytes.NewReader(buf.Bytes()))
	if r.Final.Usage.CPUSeconds != 3 {
		t.Errorf("final totals lost: %+v", r.Final)
	}
}

// Recovery stops before a record that its writer could not have meant, and before anything
// after the outcome.
func TestRecoverStopsAtNonsense(t *testing.T) {
	whole := sample(t)
	for name, c := range map[string]struct {
		add  journal.Record
		keep []byte
	}{
		"attempt that is not JSON":      {journal.Record{Type: journal.TypeAttempt, At: start, Payload: []byte("{")}, journal.AppendHeader(nil)},
		"step_started that is not JSON": {journal.Record{Type: journal.TypeStepStarted, At: start}, journal.AppendHeader(nil)},
		"outcome that is not JSON":      {journal.Record{Type: journal.TypeOutcome, At: start, Payload: []byte("null,")}, journal.AppendHeader(nil)},
		"a note after the outcome":      {journal.Record{Type: journal.TypeNote, At: start, Payload: []byte("{}")}, whole},
	} {
		r, err := journal.Recover(bytes.NewReader(journal.AppendRecord(bytes.Clone(c.keep), c.add)))
		if err != nil || r.Size != int64(len(c.keep)) || r.Torn != int64(c.add.Size()) {
			t.Errorf("%s: kept %d of %d, torn %d, %v", name, r.Size, len(c.keep), r.Torn, err)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	var buf bytes.Buffer
	w, _ := journal.NewWriter(&buf)
	size := w.Size()
	if err := w.Append(journal.Record{Type: journal.TypeOutput, Payload: make([]byte, journal.MaxPayload+1)}); err == nil {
		t.Error("took a payload that no reader takes")
	}
	if err := w.AppendJSON(journal.TypeNote, start, math.NaN()); err == nil {
		t.Error("took what is not JSON")
	}
	if err := w.AppendJSON(journal.TypeNote, start, strings.Repeat("x", journal.MaxPayload)); err == nil {
		t.Error("took a note that is too large")
	}
	if w.Size() != size || int64(buf.Len()) != size {
		t.Error("a refused record left bytes behind")
	}
	if err := w.Append(journal.Record{Type: journal.TypeOutput, Payload: make([]byte, journal.MaxPayload)}); err != nil {
		t.Errorf("the largest payload: %v", err)
	}
}

func TestWriterTellsOfAFullDisk(t *testing.T) {
	full := errors.New("no space left on device")
	whole := sample(t)
	for room := range 200 {
		w, err := journal.NewWriter(&bounded{room: room, err: full})
		if err == nil {
			err = w.Append(journal.OutputRecord(start, journal.Output{Data: whole}))
		}
		if !errors.Is(err, full) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		if w.Size() != int64(room) {
			t.Fatalf("room for %d bytes, Size() = %d", room, w.Size())
		}
	}
}

// bounded takes so many bytes and then fails.
type bounded struct {
	room int
	err  error
}

func (b *bounded) Write(p []byte) (int, error) {
	n := min(len(p), b.room)
	b.room -= n
	if n < len(p) {
		return n, b.err
	}
	return n, nil
}

func TestOutputRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := journal.Output{
			Step:   rapid.IntRange(0, math.MaxUint16).Draw(t, "step"),
			Stream: rapid.SampledFrom([]job.Stream{job.Stdout, job.Stderr}).Draw(t, "stream"),
			Data:   rapid.SliceOf(rapid.Byte()).Draw(t, "data"),
		}
		owned := journal.AppendRecord(nil, journal.OutputRecord(start, want))
		inPlace := make([]byte, journal.FrameSize+journal.OutputPrefix+len(want.Data))
		copy(inPlace[journal.FrameSize+journal.OutputPrefix:], want.Data)
		journal.PutOutput(inPlace, want.Step, want.Stream, start)
		if !bytes.Equal(owned, inPlace) {
			t.Fatalf("PutOutput and OutputRecord differ:\n%x\n%x", inPlace, owned)
		}
		rec, n, err := journal.Next(inPlace, 0)
		if err != nil || n != len(inPlace) || rec.Type != journal.TypeOutput || !rec.At.Equal(start) {
			t.Fatalf("%+v, %d, %v", rec, n, err)
		}
		got, err := journal.DecodeOutput(rec)
		if err != nil || !cmp.Equal(want, got) {
			t.Fatalf("got %+v, %v; want %+v", got, err, want)
		}
	})
}

func TestDecodeOutputRefuses(t *testing.T) {
	for _, p := range [][]byte{nil, {0}, {0, 0}, {0, 0, 0}, {0, 0, 3}, {0, 0, 255, 'x'}} {
		if o, err := journal.DecodeOutput(journal.Record{Type: journal.TypeOutput, Payload: p}); err == nil {
			t.Errorf("payload %x passes for %+v", p, o)
		}
	}
}

// A digest saved at any record and restored goes on to the same sum.
func TestDigestResumes(t *testing.T) {
	whole := sample(t)
	for stop := 0; stop < 12; stop++ {
		d := journal.NewDigester()
		d.Header(whole)
		for off, i := journal.HeaderSize, 0; off < len(whole); i++ {
			_, n, err := journal.Next(whole[off:], int64(off))
			if err != nil {
				t.Fatal(err)
			}
			if i == stop {
				state, err := d.MarshalBinary()
				if err != nil {
					t.Fatal(err)
				}
				before := d.Sum()
				d = &journal.Digester{}
				if err := d.UnmarshalBinary(state); err != nil {
					t.Fatal(err)
				}
				if d.Sum() != before {
					t.Fatal("the restored digest is another one")
				}
			}
			d.Record(whole[off : off+n])
			off += n
		}
		all := journal.NewDigester()
		all.Header(whole)
		for off := journal.HeaderSize; off < len(whole); {
			_, n, _ := journal.Next(whole[off:], int64(off))
			all.Record(whole[off : off+n])
			off += n
		}
		if d.Sum() != all.Sum() {
			t.Fatalf("saved after %d records: %s, want %s", stop, d.Sum(), all.Sum())
		}
	}
	if err := new(journal.Digester).UnmarshalBinary([]byte("nonsense")); err == nil {
		t.Error("took nonsense for a digest")
	}
}

// A reader that follows a growing journal reads on where it stood.
func TestReaderGoesOnAfterTheEnd(t *testing.T) {
	var buf bytes.Buffer
	w, _ := journal.NewWriter(&buf)
	r := journal.NewReader(&buf)
	for i := range 5 {
		if _, err := r.Next(); err != io.EOF {
			t.Fatalf("before note %d: %v", i, err)
		}
		if err := w.AppendJSON(journal.TypeNote, start, journal.Note{Step: i}); err != nil {
			t.Fatal(err)
		}
		rec, err := r.Next()
		var n journal.Note
		if err != nil || journal.Decode(rec, &n) != nil || n.Step != i {
			t.Fatalf("note %d: %+v, %v", i, n, err)
		}
	}
}
