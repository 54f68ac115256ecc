package segment_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"stint.dev/stint/internal/store/segment"
)

const run = "0199aaaa-0000-7000-8000-000000000001"

func open(tb testing.TB, dir string, o segment.Options) *segment.Log {
	tb.Helper()
	l, err := segment.Open(dir, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil {
			tb.Error(err)
		}
	})
	return l
}

// write makes one batch of the given bytes durable and returns where they stand.
func write(tb interface {
	Helper()
	Fatal(args ...any)
}, l *segment.Log, all ...[]byte,
) []segment.Place {
	tb.Helper()
	b := l.Begin()
	defer b.End()
	var places []segment.Place
	for i, data := range all {
		p, err := b.Add(run, i+1, int64(i), data)
		if err != nil {
			tb.Fatal(err)
		}
		if got, err := b.Read(p, int64(len(data))); err != nil || !bytes.Equal(got, data) {
			tb.Fatal("read inside the batch:", err)
		}
		places = append(places, p)
	}
	if err := b.Write(); err != nil {
		tb.Fatal(err)
	}
	return places
}

// Whatever is written in whatever groups, and however often the log is opened anew, comes
// back from its place, and a scan of the files finds exactly it.
func TestAnyGroupsComeBack(t *testing.T) {
	base := t.TempDir()
	n := 0
	rapid.Check(t, func(rt *rapid.T) {
		n++
		dir := filepath.Join(base, fmt.Sprint(n))
		opts := segment.Options{Relaxed: rapid.Bool().Draw(rt, "relaxed"), Limit: 1 << 20}
		l, err := segment.Open(dir, opts)
		if err != nil {
			rt.Fatal(err)
		}
		want := map[segment.Place][]byte{}
		sizes := rapid.SliceOfN(rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 300), rapid.IntRange(60<<10, 700<<10)), 0, 6), 1, 6).Draw(rt, "groups")
		for i, group := range sizes {
			var all [][]byte
			for j, size := range group {
				all = append(all, bytes.Repeat([]byte{byte(i*7 + j)}, size))
			}
			for j, p := range write(rt, l, all...) {
				want[p] = all[j]
			}
			if rapid.Bool().Draw(rt, "again") {
				if err := l.Close(); err != nil {
					rt.Fatal(err)
				}
				if l, err = segment.Open(dir, opts); err != nil {
					rt.Fatal(err)
				}
			}
		}
		compare(rt, l, want)
		if err := l.Close(); err != nil {
			rt.Fatal(err)
		}
	})
}

func compare(rt *rapid.T, l *segment.Log, want map[segment.Place][]byte) {
	for p, data := range want {
		got, err := l.Read(p, int64(len(data)))
		if err != nil || !bytes.Equal(got, data) {
			rt.Fatalf("bytes at %+v differ: %v", p, err)
		}
	}
	all, err := l.List()
	if err != nil {
		rt.Fatal(err)
	}
	found := 0
	for _, s := range all {
		file, err := os.ReadFile(l.Path(s.ID))
		if err != nil {
			rt.Fatal(err)
		}
		good, err := segment.Scan(bytes.NewReader(file), func(f segment.Frame, at int64, data []byte) error {
			if !bytes.Equal(data, want[segment.Place{Segment: s.ID, Offset: at}]) || f.Run != run {
				rt.Fatalf("frame %+v at %d differs", f, at)
			}
			found++
			return nil
		})
		if err != nil || good > s.Size || s.Size-good >= 4096 {
			rt.Fatalf("segment %d: %d good bytes of %d, %v", s.ID, good, s.Size, err)
		}
	}
	if found != len(want) {
		rt.Fatalf("%d frames, want %d", found, len(want))
	}
}

// A segment that another process wrote is never written again, and numbers only rise.
func TestNeverTheSameSegmentAgain(t *testing.T) {
	dir := t.TempDir()
	first := write(t, open(t, dir, segment.Options{}), []byte("one"))[0]
	l := open(t, dir, segment.Options{After: 7})
	second := write(t, l, []byte("two"))[0]
	if first.Segment != 1 || second.Segment != 8 || l.Active() != 8 {
		t.Errorf("places %+v and %+v, active %d", first, second, l.Active())
	}
	if err := errors.Join(l.Remove(8), l.Remove(1), l.Remove(1)); err != nil {
		t.Error(err)
	}
	if _, err := l.Read(first, 3); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed segment: %v", err)
	}
	if got, err := l.Read(second, 3); err != nil || string(got) != "two" {
		t.Errorf("the segment that grows was removed: %q %v", got, err)
	}
	if _, err := l.Read(second, 4); err == nil {
		t.Error("read past the end of a segment")
	}
	if _, err := l.Read(second, segment.MaxData+1); err == nil {
		t.Error("read more than a frame can have")
	}
}

// A batch that was not written leaves nothing, and its place is used again.
func TestForgottenBatch(t *testing.T) {
	l := open(t, t.TempDir(), segment.Options{})
	b := l.Begin()
	lost, err := b.Add(run, 1, 0, []byte("lost"))
	b.End()
	if err != nil {
		t.Fatal(err)
	}
	if kept := write(t, l, []byte("kept"))[0]; kept != lost {
		t.Errorf("kept at %+v, not at %+v", kept, lost)
	}
}

// A batch that cannot be written says so, and the next one goes on.
func TestWriteFails(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "segments")
	l := open(t, dir, segment.Options{Limit: 1})
	write(t, l, []byte("one"))
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	b := l.Begin()
	if _, err := b.Add(run, 1, 0, []byte("two")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("add without a directory: %v", err)
	}
	if err := b.Write(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("write without a directory: %v", err)
	}
	b.End()
	if err := os.Rename(dir+".away", dir); err != nil {
		t.Fatal(err)
	}
	p := write(t, l, []byte("two"))[0]
	if got, err := l.Read(p, 3); err != nil || string(got) != "two" {
		t.Errorf("after the failure: %q %v", got, err)
	}
}

// Whatever a segment holds, scanning it ends, and what it calls good reads the same again.
func FuzzScan(f *testing.F) {
	l := open(f, f.TempDir(), segment.Options{})
	p := write(f, l, []byte("one"), nil, bytes.Repeat([]byte("x"), 1000))[0]
	whole, err := os.ReadFile(l.Path(p.Segment))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, file []byte) {
		count := func(b []byte) (frames int, good int64) {
			good, err := segment.Scan(bytes.NewReader(b), func(fr segment.Frame, at int64, data []byte) error {
				if int64(len(data)) != fr.Size || at < 0 {
					t.Fatalf("frame %+v at %d has %d bytes", fr, at, len(data))
				}
				frames++
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return frames, good
		}
		frames, good := count(file)
		if good > int64(len(file)) {
			t.Fatalf("%d good bytes of %d", good, len(file))
		}
		if again, same := count(file[:good]); again != frames || same != good {
			t.Fatalf("%d frames in %d bytes, then %d in %d", frames, good, again, same)
		}
	})
}
