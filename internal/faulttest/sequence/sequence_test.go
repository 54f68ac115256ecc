package sequence_test

import (
	"bytes"
	"testing"

	"stint.dev/stint/internal/faulttest/sequence"
)

// What is printed longer begins with what is printed shorter, and other seeds and streams
// print something else.
func TestBytesAreAFunctionOfSeedAndStream(t *testing.T) {
	long := sequence.Bytes(7, "stdout", 300_000)
	if len(long) != 300_000 {
		t.Fatalf("%d bytes", len(long))
	}
	for _, n := range []int{0, 1, 17, 4096, 299_999} {
		if got := sequence.Bytes(7, "stdout", n); !bytes.Equal(got, long[:n]) {
			t.Errorf("the first %d bytes differ from those of a longer stream", n)
		}
	}
	if bytes.Equal(sequence.Bytes(8, "stdout", 4096), long[:4096]) || bytes.Equal(sequence.Bytes(7, "stderr", 4096), long[:4096]) {
		t.Error("another seed or stream prints the same")
	}
	if bytes.Count(long, []byte("\n")) < 100 || !bytes.Contains(long, []byte{'\r'}) {
		t.Error("there are too few lines, or no progress bar")
	}
}

func TestChunksCoverBothStreams(t *testing.T) {
	for seed := range uint64(50) {
		var got [2]int
		for _, c := range sequence.Chunks(seed, 10_000, 700, int(seed)) {
			if c.Size <= 0 || seed > 0 && c.Size > int(seed) {
				t.Fatalf("a write of %d bytes", c.Size)
			}
			if c.Stderr {
				got[1] += c.Size
			} else {
				got[0] += c.Size
			}
		}
		if got != [2]int{10_000, 700} {
			t.Errorf("seed %d: %v", seed, got)
		}
	}
}
