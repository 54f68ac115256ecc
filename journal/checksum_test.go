package journal

import (
	"hash/crc32"
	"testing"

	"pgregory.net/rapid"
)

// Short or long, the checksum is the one that hash/crc32 gives.
func TestChecksum(t *testing.T) {
	if *makePlainTable() != *crc32.MakeTable(crc32.Castagnoli) {
		t.Fatal("the plain table is not that of CRC-32C")
	}
	rapid.Check(t, func(t *rapid.T) {
		plainBytes.Store(rapid.SampledFrom([]int64{0, fewBytes - 1<<10, fewBytes}).Draw(t, "bytes before"))
		b := rapid.SliceOfN(rapid.Byte(), 0, 4<<10).Draw(t, "bytes")
		if got, want := checksum(b), crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)); got != want {
			t.Errorf("%d bytes: %08x, want %08x", len(b), got, want)
		}
	})
}
