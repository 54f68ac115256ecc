package beatlog

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"stint.dev/stint/job"
)

// full is a beat in which every field of the heartbeat has a value, of its own.
func full(t *testing.T) Beat {
	t.Helper()
	b := Beat{Run: "0199aaaa-0000-7000-8000-000000000001", Attempt: 3, At: time.UnixMicro(1_800_000_000_123_456).UTC(), Lease: 15 * time.Second}
	n := int64(1000)
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		n++
		switch {
		case v.Type() == reflect.TypeFor[time.Time]():
			v.Set(reflect.ValueOf(time.Unix(n, 123456789).UTC()))
		case v.Kind() == reflect.Pointer:
			v.Set(reflect.New(v.Type().Elem()))
			fill(v.Elem())
		case v.Kind() == reflect.Struct:
			for i := range v.NumField() {
				fill(v.Field(i))
			}
		case v.CanInt():
			v.SetInt(n)
		case v.CanFloat():
			v.SetFloat(float64(n) + 0.5)
		case v.Kind() == reflect.Bool:
			v.SetBool(true)
		case v.Kind() == reflect.String:
			v.SetString(fmt.Sprint("text ", n))
		default:
			t.Fatalf("a heartbeat has a %s, which this test cannot fill", v.Type())
		}
	}
	fill(reflect.ValueOf(&b.Heartbeat).Elem())
	return b
}

func TestEveryFieldIsKept(t *testing.T) {
	for _, want := range []Beat{full(t), {Run: "r", At: time.UnixMicro(0).UTC(), Heartbeat: job.Heartbeat{SentAt: time.Time{}}}} {
		got, ok := readBeat(appendBeat(nil, &want))
		if diff := cmp.Diff(want, got); !ok || diff != "" {
			t.Errorf("read: %v (-want +got):\n%s", ok, diff)
		}
	}
}

func anyBeat(t *rapid.T) Beat {
	at := time.UnixMicro(rapid.Int64Range(0, 1<<52).Draw(t, "at")).UTC()
	b := Beat{
		Run: rapid.StringN(0, 60, 60).Draw(t, "run"), Attempt: rapid.IntRange(1, 9999).Draw(t, "attempt"), At: at,
		Lease: time.Duration(rapid.Int64Range(0, 1<<40).Draw(t, "lease")) * time.Microsecond,
		Heartbeat: job.Heartbeat{
			Sequence: rapid.Int64().Draw(t, "sequence"), SentAt: at.Add(time.Duration(rapid.Int64Range(0, math.MaxInt32).Draw(t, "later"))),
			CPUSeconds: rapid.Float64Range(0, 1e12).Draw(t, "cpu"), Suspended: rapid.Bool().Draw(t, "suspended"),
		},
	}
	if rapid.Bool().Draw(t, "has pressure") {
		b.Heartbeat.Pressure = &job.Pressure{CPU: 1, Memory: rapid.Float64Range(0, 100).Draw(t, "memory"), IO: 3}
	}
	return b
}

// Of each half comes back what was appended to it since it began anew, and nothing that is older.
func TestBeatsComeBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	var want [2][]Beat
	now, behind := 0, false
	over := true // what the half holds goes with the next Append
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.SampledFrom([]string{"append", "append", "append", "turn", "stored", "reset", "open"}).Draw(t, "step") {
			case "append":
				group := rapid.SliceOfN(rapid.Custom(anyBeat), 1, 4).Draw(t, "group")
				if err := l.Append(group); err != nil {
					t.Fatal(err)
				}
				if over {
					want[now], over = nil, false
				}
				want[now] = append(want[now], group...)
			case "turn":
				l.SwitchHalf()
				if !behind && !over {
					now, behind, over = 1-now, true, true
				}
			case "stored":
				l.MarkStored()
				behind = false
			case "reset":
				l.Reset()
				behind, over = false, true
			case "open":
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				var got []Beat
				var err error
				if l, got, err = Open(path, true); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(slices.Concat(want[0], want[1]), got); diff != "" {
					t.Fatalf("after opening (-want +got):\n%s", diff)
				}
				now, behind, over = 0, false, true
			}
		}
	})
}

// A log that is damaged anywhere holds what comes before the damage, and nothing else.
func TestDamage(t *testing.T) {
	var whole []byte
	var beats []Beat
	var ends []int
	for i := range 3 {
		b := full(t)
		b.Attempt = i + 1
		beats = append(beats, b)
		whole = appendRecord(whole, 7, &b)
		ends = append(ends, len(whole))
	}
	before := func(at int) (n int) {
		for n < len(ends) && ends[n] <= at {
			n++
		}
		return n
	}
	for at := range whole {
		want := beats[:before(at)]
		if got := decode(whole[:at]); len(got) != len(want) {
			t.Errorf("cut at %d: %d beats, want %d", at, len(got), len(want))
		}
		for _, bit := range []byte{1, 0x80} {
			damaged := append([]byte(nil), whole...)
			damaged[at] ^= bit
			if diff := cmp.Diff(want, decode(damaged), cmp.Transformer("n", func(b []Beat) int { return len(b) })); diff != "" {
				t.Errorf("byte %d damaged: %s", at, diff)
			}
		}
	}
	older := appendRecord(append([]byte(nil), whole...), 6, &beats[0])
	if got := decode(older); len(got) != 3 {
		t.Errorf("%d beats, one of them of a generation that is over", len(got))
	}
}

// A half that is full takes nothing until the other one takes the next heartbeats, and that it does
// only when the database has what it held.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l, _, err := Open(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // read below
	group := make([]Beat, 500)
	for i := range group {
		group[i] = full(t)
	}
	fill := func(when string) {
		t.Helper()
		n, due, err := 0, false, error(nil)
		for err == nil && n < 1000 {
			if err = l.Append(group); err == nil {
				n++
			}
			due = due || err == nil && l.IsDue()
		}
		if !due || n < 2 || err != ErrFull { //nolint:errorlint // it is returned as it is
			t.Errorf("%s: after %d groups: %v, reported before that it is due: %v", when, n, err, due)
		}
	}
	fill("at first")
	l.SwitchHalf()
	fill("in the other half")
	l.SwitchHalf()
	if err := l.Append(group); err != ErrFull || !l.IsDue() { //nolint:errorlint // it is returned as it is
		t.Errorf("with two halves that the database does not have: %v, due: %v", err, l.IsDue())
	}
	l.MarkStored()
	l.SwitchHalf()
	fill("after the database has the first half")
	if info, err := os.Stat(path); err != nil || info.Size() != Size {
		t.Errorf("%v, %v: it must never grow", info.Size(), err)
	}
	l.Reset()
	if err := l.Append(group); err != nil || l.IsDue() {
		t.Errorf("after a reset: %v, due: %v", err, l.IsDue())
	}
}

func FuzzDecode(f *testing.F) {
	var whole []byte
	for range 3 {
		whole = appendRecord(whole, 7, &Beat{Run: "a", At: time.UnixMicro(1)})
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, b := range decode(data) {
			again, ok := readBeat(appendBeat(nil, &b))
			if !ok || again.Run != b.Run || !again.At.Equal(b.At) {
				t.Errorf("%+v came back as %+v", b, again)
			}
		}
	})
}
