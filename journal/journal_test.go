package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 123456789, time.UTC)

// anyRecord draws a record of any type that exists, known to this version or not, but no
// outcome: that one ends a journal.
func anyRecord() *rapid.Generator[journal.Record] {
	return rapid.Custom(func(t *rapid.T) journal.Record {
		kind := journal.Type(rapid.ByteRange(1, 255).Filter(func(b byte) bool {
			return journal.Type(b) != journal.TypeOutcome
		}).Draw(t, "type"))
		size := rapid.OneOf(rapid.IntRange(0, 40), rapid.IntRange(0, 5000), rapid.SampledFrom([]int{32 << 10, 100_000})).Draw(t, "size")
		payload := bytes.Repeat([]byte{rapid.Byte().Draw(t, "fill")}, size)
		copy(payload, rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "payload"))
		at := time.Unix(0, rapid.Int64().Draw(t, "at")).UTC()
		return journal.Record{Type: kind, At: at, Payload: payload}
	})
}

func readAll(t interface{ Fatalf(string, ...any) }, r io.Reader) ([]journal.Record, *journal.Reader, error) {
	jr := journal.NewReader(r)
	var all []journal.Record
	for {
		rec, err := jr.Next()
		if err != nil {
			return all, jr, err
		}
		rec.Payload = bytes.Clone(rec.Payload)
		all = append(all, rec)
		if len(all) > 1e6 {
			t.Fatalf("the reader does not end")
		}
	}
}

// same compares records; reflection would take minutes over all the cuts below.
func same(a, b []journal.Record) bool {
	return slices.EqualFunc(a, b, func(a, b journal.Record) bool {
		return a.Type == b.Type && a.At.Equal(b.At) && bytes.Equal(a.Payload, b.Payload)
	})
}

// What is written is read: every record of a known type, in order; the unknown ones are
// counted; and it does not matter in which pieces the bytes arrive.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		records := rapid.SliceOfN(anyRecord(), 0, 12).Draw(t, "records")
		var buf bytes.Buffer
		w, err := journal.NewWriter(&buf)
		if err != nil {
			t.Fatal(err)
		}
		var want []journal.Record
		unknown := 0
		for _, r := range records {
			if err := w.Append(r); err != nil {
				t.Fatal(err)
			}
			if journal.Known(r.Type) {
				want = append(want, r)
			} else {
				unknown++
			}
		}
		if w.Size() != int64(buf.Len()) || w.Ended() {
			t.Fatalf("Size() = %d of %d bytes, Ended() = %v", w.Size(), buf.Len(), w.Ended())
		}
		var src io.Reader = bytes.NewReader(buf.Bytes())
		if rapid.Bool().Draw(t, "slowly") && buf.Len() < 1<<16 {
			src = &stutter{src, rapid.IntRange(1, 30).Draw(t, "piece")}
		}
		got, r, err := readAll(t, src)
		if err != io.EOF {
			t.Fatalf("ended with %v", err)
		}
		if r.Skipped() != unknown || r.Offset() != int64(buf.Len()) {
			t.Fatalf("skipped %d, want %d; offset %d of %d", r.Skipped(), unknown, r.Offset(), buf.Len())
		}
		if !same(want, got) {
			t.Fatalf("wrote %d records and read %d that differ", len(want), len(got))
		}
	})
}

// stutter gives n bytes at a time.
type stutter struct {
	r io.Reader
	n int
}

func (s *stutter) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

// sample is a whole small journal with every type, an unknown one, and its outcome.
func sample(t testing.TB) []byte {
	t.Helper()
	var buf bytes.Buffer
	w, err := journal.NewWriter(&buf)
	if err != nil {
		t.Fatal(err)
	}
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	add := func(r journal.Record, err error) {
		t.Helper()
		if err == nil {
			err = w.Append(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	zero := 0
	add(journal.JSONRecord(journal.TypeAttempt, at(0), journal.Attempt{
		Run: "0198c1f2-7b1c-7cc2-9c2a-0f3d5b6a7e10", Attempt: 1, Job: "train", Args: []string{"sh", "-c", "echo out"}, Host: "h", AgentVersion: "1",
	}))
	add(journal.JSONRecord(journal.TypeStepStarted, at(1), journal.StepStarted{Name: "command", Kind: job.CommandStep, Command: "sh", PID: 7}))
	add(journal.OutputRecord(at(2), journal.Output{Stream: job.Stdout, Data: []byte("out\n\xff\x00\r")}), nil)
	add(journal.OutputRecord(at(3), journal.Output{Stream: job.Stderr, Data: []byte("err\n")}), nil)
	add(journal.Record{Type: 200, At: at(4), Payload: []byte("from a later version")}, nil)
	add(journal.JSONRecord(journal.TypeSample, at(5), job.Sample{At: at(5), CPUSeconds: 0.5, MemoryBytes: 4096, Processes: 1}))
	add(journal.JSONRecord(journal.TypeNote, at(6), journal.Note{Step: -1, Text: "hello"}))
	add(journal.JSONRecord(journal.TypeStatus, at(7), journal.Status{Text: "half way"}))
	add(journal.JSONRecord(journal.TypeGap, at(8), job.Gap{Stream: job.Stdout, AtBytes: 7, Bytes: 100, Lines: 2, Reason: "spool full", At: at(8)}))
	add(journal.JSONRecord(journal.TypeStopping, at(9), journal.Stopping{Reason: job.ByCancel, By: "ada"}))
	outcome := job.Outcome{State: job.Succeeded, Reason: job.ExitCode, ExitCode: &zero, Message: "Exited with code 0."}
	add(journal.JSONRecord(journal.TypeStepEnded, at(10), journal.StepEnded{Outcome: outcome}))
	if err := w.Finish(at(11), journal.Final{Outcome: outcome}); err != nil {
		t.Fatal(err)
	}
	if !w.Ended() {
		t.Fatal("the outcome did not end the journal")
	}
	return buf.Bytes()
}

// Cut anywhere, a journal reads as the whole records before the cut and then says that its
// end is torn, unless the cut falls between two records.
func TestTornEndAtEveryByte(t *testing.T) {
	whole := sample(t)
	all, _, err := readAll(t, bytes.NewReader(whole))
	if err != io.EOF {
		t.Fatal(err)
	}
	ends := map[int]bool{journal.HeaderSize: true}
	for b, off := whole[journal.HeaderSize:], journal.HeaderSize; len(b) > 0; {
		_, n, err := journal.Next(b, int64(off))
		if err != nil {
			t.Fatal(err)
		}
		b, off = b[n:], off+n
		ends[off] = true
	}
	for cut := range whole {
		got, r, err := readAll(t, bytes.NewReader(whole[:cut]))
		if want := map[bool]error{true: io.EOF, false: journal.ErrShort}[ends[cut]]; !errors.Is(err, want) {
			t.Fatalf("cut at %d: %v, want %v", cut, err, want)
		}
		if !same(all[:len(got)], got) {
			t.Fatalf("cut at %d: other records", cut)
		}
		if cut >= journal.HeaderSize && !ends[int(r.Offset())] || int(r.Offset()) > cut {
			t.Fatalf("cut at %d: offset %d is no end of a record", cut, r.Offset())
		}
	}
}

// Whichever byte is changed, and to whatever, the reader notices, and gives out nothing
// but true records before it does.
func TestCorruptionOfEveryByteIsNoticed(t *testing.T) {
	whole := sample(t)
	all, _, _ := readAll(t, bytes.NewReader(whole))
	for i := range whole {
		for _, flip := range []byte{0x01, 0x80, 0xff, whole[i]} { // the last one makes it 0
			if flip == 0 {
				continue
			}
			bad := bytes.Clone(whole)
			bad[i] ^= flip
			got, _, err := readAll(t, bytes.NewReader(bad))
			var corrupt *journal.CorruptError
			if !errors.As(err, &corrupt) && !errors.Is(err, journal.ErrShort) {
				t.Fatalf("byte %d ^ %#x: %v", i, flip, err)
			}
			if corrupt != nil && (corrupt.Offset > int64(i) || corrupt.Why == "") {
				t.Fatalf("byte %d ^ %#x: reported as %v", i, flip, err)
			}
			if !same(all[:len(got)], got) {
				t.Fatalf("byte %d ^ %#x: gave out a false record", i, flip)
			}
		}
	}
}

// header makes a header with a right checksum.
func header(version, reserved uint16) []byte {
	h := journal.AppendHeader(nil)
	binary.LittleEndian.PutUint16(h[8:], version)
	binary.LittleEndian.PutUint16(h[10:], reserved)
	binary.LittleEndian.PutUint32(h[12:], crc32.Checksum(h[:12], crc32.MakeTable(crc32.Castagnoli)))
	return h
}

func TestHeader(t *testing.T) {
	if err := journal.CheckHeader(header(journal.Version, 0)); err != nil {
		t.Error(err)
	}
	for _, v := range []uint16{journal.Version + 1, math.MaxUint16} {
		_, err := journal.NewReader(bytes.NewReader(append(header(v, 77), "whatever follows"...))).Next()
		var newer *journal.NewerError
		if !errors.As(err, &newer) || newer.Version != int(v) {
			t.Errorf("version %d: %v", v, err)
		}
		if want := fmt.Sprintf("version %d", v); err == nil || !bytes.Contains([]byte(err.Error()), []byte(want)) {
			t.Errorf("the message does not say which version: %v", err)
		}
		if _, err := journal.Recover(bytes.NewReader(header(v, 0))); !errors.As(err, &newer) {
			t.Errorf("Recover of version %d: %v; it must not be cut to nothing", v, err)
		}
	}
	for name, h := range map[string][]byte{
		"version 0": header(0, 0), "reserved bytes": header(1, 1), "text": []byte("hello, this is a log"),
		"one byte": {'x'}, "line ends rewritten": append([]byte("STINTJ\n"), header(1, 0)[8:]...), "zeros": make([]byte, 64),
	} {
		var corrupt *journal.CorruptError
		if err := journal.CheckHeader(h); !errors.As(err, &corrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNextRefuses(t *testing.T) {
	frame := func(length uint32, kind byte) []byte {
		b := make([]byte, journal.FrameSize+8)
		binary.LittleEndian.PutUint32(b[4:], length)
		b[8] = kind
		return b
	}
	for name, b := range map[string][]byte{
		"too long": frame(journal.MaxPayload+1, 3), "longest length": frame(math.MaxUint32, 3),
		"type 0": frame(0, 0), "wrong checksum": frame(0, 3), "zeros": make([]byte, 64),
	} {
		_, n, err := journal.Next(b, 4711)
		var corrupt *journal.CorruptError
		if !errors.As(err, &corrupt) || corrupt.Offset != 4711 || n != 0 {
			t.Errorf("%s: n = %d, %v", name, n, err)
		}
	}
	if _, _, err := journal.Next(frame(9, 3), 0); !errors.Is(err, journal.ErrShort) {
		t.Errorf("a record that goes on beyond the bytes: %v", err)
	}
}

func TestAReadErrorIsNotAnEnd(t *testing.T) {
	whole := sample(t)
	broken := errors.New("disk on fire")
	for cut := range whole {
		src := func() io.Reader { return io.MultiReader(bytes.NewReader(whole[:cut]), &failing{broken}) }
		if _, _, err := readAll(t, src()); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes the reader says %v", cut, err)
		}
		if _, err := journal.Recover(src()); !errors.Is(err, broken) {
			t.Fatalf("after %d bytes Recover says %v", cut, err)
		}
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

func TestTypeNames(t *testing.T) {
	seen := map[string]bool{}
	for k := journal.TypeAttempt; journal.Known(k); k++ {
		if s := k.String(); seen[s] || s == fmt.Sprintf("type %d", k) {
			t.Errorf("type %d has no name of its own: %q", k, s)
		} else {
			seen[s] = true
		}
	}
	if got := journal.Type(200).String(); got != "type 200" {
		t.Errorf("unknown type: %q", got)
	}
	if journal.Known(0) || journal.Known(journal.TypeStopping+1) {
		t.Error("knows a type that does not exist")
	}
}
