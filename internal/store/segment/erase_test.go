package segment_test

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"stint.dev/stint/internal/store/segment"
)

const other = "0199aaaa-0000-7000-8000-000000000002"

// The frames of a run are overwritten in the current segment and in a full one with a torn end, and those of other runs are
// found and read as before.
func TestErase(t *testing.T) {
	l := open(t, t.TempDir(), segment.Options{})
	secret, kept := []byte(strings.Repeat("secret", 100_000)), []byte(strings.Repeat("kept", 1000))
	var places []segment.Place
	for range 3 {
		b := l.Begin()
		for _, c := range []struct {
			run  string
			data []byte
		}{{run, secret}, {other, kept}, {run, secret[:10]}} {
			p, err := b.Add(c.run, 1, 16, c.data)
			if err != nil {
				t.Fatal(err)
			}
			if c.run == other {
				places = append(places, p)
			}
		}
		if err := b.Write(); err != nil {
			t.Fatal(err)
		}
		b.End()
		if err := l.Erase(t.Context(), 1, map[string]bool{run: true}); err != nil { // later batches follow
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(l.Path(1))
	if err != nil || bytes.Contains(file, secret[:10]) {
		t.Errorf("the file still has the bytes: %v", err)
	}
	for _, p := range places {
		if data, err := l.Read(p, int64(len(kept))); err != nil || !bytes.Equal(data, kept) {
			t.Errorf("another run: %d bytes, %v", len(data), err)
		}
	}
	var walked, scanned int
	count := func(n *int) func(segment.Frame, int64, []byte) error {
		return func(f segment.Frame, _ int64, data []byte) error {
			if *n++; f.Run != other || !bytes.Equal(data, kept) {
				t.Errorf("found a frame of %q with %d bytes", f.Run, len(data))
			}
			return nil
		}
	}
	err = segment.Walk(bytes.NewReader(file), int64(len(file)), count(&walked), func(from, to int64) { t.Errorf("bytes %d to %d are bad", from, to) })
	if err != nil || walked != len(places) {
		t.Errorf("walked over %d frames: %v", walked, err)
	}
	if _, err := segment.Scan(bytes.NewReader(file), count(&scanned)); err != nil || scanned != len(places) {
		t.Errorf("scanned %d frames: %v", scanned, err)
	}

	torn := open(t, t.TempDir(), segment.Options{})
	write(t, torn, secret)
	if err := torn.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(torn.Path(1), 300_000); err != nil {
		t.Fatal(err)
	}
	if err := torn.Erase(t.Context(), 1, map[string]bool{run: true}); err != nil {
		t.Fatal(err)
	}
	if file, err := os.ReadFile(torn.Path(1)); err != nil || bytes.Contains(file, secret[:10]) || len(file) != 300_000 {
		t.Errorf("a torn frame: %d bytes, %v", len(file), err)
	}
	if err := torn.Erase(t.Context(), 7, map[string]bool{run: true}); err != nil {
		t.Errorf("a segment that is not there: %v", err)
	}
}
