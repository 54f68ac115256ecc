package journal_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"

	"stint.dev/stint/journal"
)

func seeds(f *testing.F) {
	whole := sample(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(whole[:journal.HeaderSize])
	f.Add(header(2, 0))
	f.Add(journal.AppendRecord(nil, journal.Record{Type: 3, Payload: []byte{0, 0, 1, 'x'}}))
	f.Add(append(journal.AppendHeader(nil), 0, 0, 0, 0, 0xff, 0xff, 0x0f, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0))
	f.Add(append(journal.AppendHeader(nil), make([]byte, 100)...))
	f.Add([]byte{})
}

// FuzzReader: whatever the bytes, the reader ends, says how, and what it gave out is
// exactly what stands there.
func FuzzReader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r := journal.NewReader(bytes.NewReader(data))
		for {
			before := r.Offset()
			rec, err := r.Next()
			if err != nil {
				var corrupt *journal.CorruptError
				var newer *journal.NewerError
				if err != io.EOF && !errors.Is(err, journal.ErrShort) && !errors.As(err, &corrupt) && !errors.As(err, &newer) {
					t.Fatalf("unexpected kind of error: %v", err)
				}
				if err == io.EOF && r.Offset() != int64(len(data)) {
					t.Fatalf("whole end at %d of %d", r.Offset(), len(data))
				}
				return
			}
			end := r.Offset()
			if end <= before || end > int64(len(data)) || end-int64(rec.Size()) < before {
				t.Fatalf("record of %d bytes from %d to %d of %d", rec.Size(), before, end, len(data))
			}
			if again := journal.AppendRecord(nil, rec); !bytes.Equal(again, data[end-int64(rec.Size()):end]) {
				t.Fatal("a record that was read encodes to other bytes")
			}
			if rec.Type == journal.TypeOutput {
				_, _ = journal.DecodeOutput(rec)
			}
		}
	})
}

// FuzzNext: one record out of any bytes, without reading beyond them.
func FuzzNext(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		rec, n, err := journal.Next(data[:len(data):len(data)], 7)
		switch {
		case err != nil && n != 0:
			t.Fatalf("%d bytes and %v", n, err)
		case err == nil && (n != rec.Size() || n > len(data) || cap(rec.Payload) != len(rec.Payload)):
			t.Fatalf("%d bytes of %d for a record of %d", n, len(data), rec.Size())
		case err == nil && !bytes.Equal(journal.AppendRecord(nil, rec), data[:n]):
			t.Fatal("encodes to other bytes")
		}
	})
}

// FuzzRecover: the whole part and the torn part are all there is; the whole part recovers
// to itself; and going on from there gives a journal that proves itself.
func FuzzRecover(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := journal.Recover(bytes.NewReader(data))
		if err != nil {
			var newer *journal.NewerError
			if !errors.As(err, &newer) {
				t.Fatal(err)
			}
			return
		}
		if r.Size < 0 || r.Torn < 0 || r.Size+r.Torn != int64(len(data)) {
			t.Fatalf("%d whole and %d torn of %d", r.Size, r.Torn, len(data))
		}
		again, err := journal.Recover(bytes.NewReader(data[:r.Size]))
		if err != nil || again.Size != r.Size || again.Torn != 0 || again.Ended != r.Ended {
			t.Fatalf("the whole part recovers to %d whole, %d torn, %v", again.Size, again.Torn, err)
		}
		if r.Ended {
			return
		}
		buf := bytes.NewBuffer(bytes.Clone(data[:r.Size]))
		if err := journal.ResumeWriter(buf, r).Finish(start, journal.Final{}); err != nil {
			t.Fatal(err)
		}
		final(t, buf.Bytes())
	})
}

// A reader's memory does not follow what a frame claims, nor how long the journal is.
func TestReaderMemoryIsBounded(t *testing.T) {
	rec := journal.AppendRecord(nil, journal.Record{Type: journal.TypeOutput, Payload: make([]byte, journal.MaxPayload)})
	parts := []io.Reader{bytes.NewReader(journal.AppendHeader(nil))}
	const records = 256
	for range records {
		parts = append(parts, bytes.NewReader(rec))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r, err := journal.Recover(io.MultiReader(parts...))
	runtime.ReadMemStats(&after)
	if err != nil || r.Size != journal.HeaderSize+records*int64(len(rec)) {
		t.Fatalf("%d bytes, %v", r.Size, err)
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 4<<20 {
		t.Errorf("reading %d MiB allocated %d KiB", r.Size>>20, used>>10)
	}
}
