package index

import (
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"stint.dev/stint/job"
	"stint.dev/stint/journal"
)

type failer interface {
	Helper()
	Fatal(args ...any)
}

func marshal(tb failer, s State) []byte {
	tb.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func unmarshal(tb failer, b []byte) State {
	tb.Helper()
	var s State
	if err := json.Unmarshal(b, &s); err != nil {
		tb.Fatal(err)
	}
	return s
}

// rechecked gives a changed header its right checksum.
func rechecked(header []byte) []byte {
	binary.LittleEndian.PutUint32(header[12:], crc32.Checksum(header[:12], crc32.MakeTable(crc32.Castagnoli)))
	return header
}

func TestCutStaysWithinBoundsAndValid(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := rapid.String().Draw(rt, "s")
		most := rapid.IntRange(3, 40).Draw(rt, "most")
		got := Truncate(s, most)
		if len(got) > most || !utf8.ValidString(got) {
			rt.Fatalf("Truncate(%q, %d) = %q", s, most, got)
		}
		if len(s) <= most && got != s {
			rt.Fatalf("Truncate(%q, %d) = %q", s, most, got)
		}
	})
}

// Every way a journal can go through an attempt leads the run the same way as the
// attempt's own state.
func TestAdvanceFollowsTheAttempt(t *testing.T) {
	j := write(t, identity()).step(0, job.InstallStep).stepEnd(0, 0).step(1, job.CommandStep).
		json(journal.TypeStopping, journal.Stopping{Reason: job.ByCancel, By: "ada", Why: "enough"}).
		end(job.Outcome{State: job.Canceled, Reason: job.ByCancel, Message: "Canceled by ada."})
	f := mustFold(t, NewState(testRun, 1), j.bytes())
	run, events := Advance(job.Run{ID: testRun, Attempt: 1, State: job.Queued}, f.Facts, noon)
	if run.State != f.State.View.State || run.State != job.Canceled || run.Health != "" {
		t.Errorf("run is %s (%s), attempt is %s", run.State, run.Health, f.State.View.State)
	}
	var path []string
	for _, e := range events {
		path = append(path, e.To)
		if e.Clock != AgentClock || e.Evidence == "" || e.Run != testRun {
			t.Errorf("event: %+v", e)
		}
	}
	want := []string{"starting", "installing", "running", "stopping", "canceled"}
	if len(path) != len(want) {
		t.Fatalf("path %v", path)
	}
	for i := range want {
		if path[i] != want[i] {
			t.Errorf("path %v, want %v", path, want)
		}
	}
	if again, more := Advance(run, f.Facts, noon); again.State != job.Canceled || len(more) != 0 {
		t.Errorf("late facts changed the run to %s: %+v", again.State, more)
	}
}

func FuzzFold(f *testing.F) {
	data := write(f, identity()).step(0, job.CommandStep).out(0, job.Stdout, "a\nb").
		json(journal.TypeGap, job.Gap{Stream: job.Stdout, Bytes: 1}).
		json(journal.TypeSample, job.Sample{MemoryBytes: 5}).stepEnd(0, 1).end(good).bytes()
	f.Add(data, 40, byte(journal.TypeNote), []byte(`{"text":"x"}`))
	f.Add(data, 0, byte(journal.TypeOutput), []byte{0, 0, 1, 'x', '\n'})
	f.Add(data[:100], 16, byte(99), []byte{})
	f.Fuzz(func(t *testing.T, data []byte, cut int, typ byte, payload []byte) {
		cut = min(max(cut, 0), len(data))
		state := NewState(testRun, 1)
		if first, err := Fold(state, data[:cut]); err == nil {
			state = first.State
			if first.Tail > cut || state.Size+int64(first.Tail) != int64(cut) {
				t.Fatalf("size %d and tail %d of %d bytes", state.Size, first.Tail, cut)
			}
		}
		if len(payload) > journal.MaxPayload || typ == 0 {
			return
		}
		if state.Size == 0 { // payloads are only read behind a whole beginning
			begun, err := Fold(state, write(t, identity()).bytes())
			if err != nil {
				t.Fatal(err)
			}
			state = begun.State
		}
		f, err := Fold(state, journal.AppendRecord(nil, journal.Record{Type: journal.Type(typ), At: noon, Payload: payload}))
		if err != nil {
			return
		}
		if f.State.View.Output.Lines != f.State.NextLine-1 || f.Head.Lines < 0 {
			t.Fatalf("lines: %+v", f.State)
		}
		marshal(t, f.State)
	})
}
