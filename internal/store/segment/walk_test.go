package segment_test

import (
	"bytes"
	"os"
	"testing"

	"stint.dev/stint/internal/store/segment"
)

// Copies are found again with what they are copies of, also behind damage: of bad bytes
// only their own frame is lost, of a bad header what comes before the next page.
func TestWalkGoesOnBehindDamage(t *testing.T) {
	l := open(t, t.TempDir(), segment.Options{})
	b := l.Begin()
	for _, c := range []struct {
		kind segment.Kind
		text string
	}{{segment.Note, "note"}, {segment.Plain, "plain"}, {segment.Packed, "packed"}} {
		p, err := b.Copy(c.kind, run, 1, 16, []byte(c.text))
		if err != nil || p.Segment != 1 {
			t.Fatal(p, err)
		}
	}
	if err := b.Write(); err != nil {
		t.Fatal(err)
	}
	b.End()
	write(t, l, []byte("after"))
	file, err := os.ReadFile(l.Path(1))
	if err != nil {
		t.Fatal(err)
	}
	walk := func() (found []string, kinds []segment.Kind, bad int64) {
		err := segment.Walk(bytes.NewReader(file), int64(len(file)), func(f segment.Frame, _ int64, data []byte) error {
			found, kinds = append(found, string(data)), append(kinds, f.Kind)
			return nil
		}, func(from, to int64) { bad += to - from })
		if err != nil {
			t.Fatal(err)
		}
		return found, kinds, bad
	}
	found, kinds, bad := walk()
	if len(found) != 4 || found[3] != "after" || kinds[0] != segment.Note || kinds[1] != segment.Plain || kinds[2] != segment.Packed || bad != 0 {
		t.Errorf("found %q %v, %d bad", found, kinds, bad)
	}
	at := bytes.Index(file, []byte("plain"))
	file[at] ^= 1
	if found, _, bad := walk(); len(found) != 3 || bad != segment.FrameSize+5 {
		t.Errorf("after damage to bytes: %q, %d bad", found, bad)
	}
	file[at-segment.FrameSize+20] ^= 1
	if found, _, bad := walk(); len(found) != 2 || found[1] != "after" || bad == 0 {
		t.Errorf("after damage to a header: %q, %d bad", found, bad)
	}
	file = file[:len(file)-2]
	if found, _, _ := walk(); len(found) != 1 {
		t.Errorf("a torn end: %q", found)
	}
}
