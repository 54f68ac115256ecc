package report

import (
	"bytes"
	"testing"

	"pgregory.net/rapid"
)

// However the output is cut, the tail is its end.
func TestTail(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var tail Tail
		var all []byte
		for i := range rapid.IntRange(0, 12).Draw(t, "writes") {
			p := bytes.Repeat([]byte{byte(i), byte(i + 100), 7}, rapid.SampledFrom([]int{0, 1, 10, 5000, maxTail / 3, maxTail/3 + 1, maxTail}).Draw(t, "size"))
			if n, err := tail.Write(p); n != len(p) || err != nil {
				t.Fatalf("wrote %d of %d, %v", n, len(p), err)
			}
			all = append(all, p...)
		}
		n := rapid.SampledFrom([]int{0, 1, 100, untoldTail, maxTail, 10 * maxTail}).Draw(t, "n")
		want := all[max(0, len(all)-min(n, maxTail)):]
		if got := tail.Last(n); !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, want %d", len(got), len(want))
		}
		if len(tail.kept) > maxTail {
			t.Fatalf("%d bytes are kept", len(tail.kept))
		}
	})
}

func TestOnlyHealthchecksGetsOutput(t *testing.T) {
	for url, want := range map[string]bool{"http://127.0.0.1/x": false, "hc+http://127.0.0.1/x": true} {
		r, err := NewReporter(url, runID)
		if err != nil || (KeepTail(r) != nil) != want {
			t.Errorf("%s: %v", url, err)
		}
	}
	if KeepTail(nil) != nil {
		t.Error("output is kept for nobody")
	}
}
