package journal

import (
	"hash/crc32"
	"sync/atomic"
)

// Checksums are CRC-32C. The tables with which the processor computes one fast take 0.15 ms
// to make, which is more than anything else that happens before a short job starts. So the
// checksums of the first bytes of a process, of which such a job has no more, are computed with a
// table that is made in 2 µs, at 2.5 ns a byte: so many bytes that they take as long as to make
// the tables.
const fewBytes = 60 << 10

var (
	plainTable = makePlainTable()
	plainBytes atomic.Int64 // of which a checksum was computed with it
)

func checksum(b []byte) uint32 {
	if plainBytes.Load() < fewBytes && plainBytes.Add(int64(len(b))) <= fewBytes {
		return crc32.Checksum(b, plainTable)
	}
	return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) // made once, and kept there
}

// makePlainTable makes the table of the definition. As it is not the one that hash/crc32
// made, that package uses it as it is.
func makePlainTable() *crc32.Table {
	t := new(crc32.Table)
	for i := range t {
		c := uint32(i)
		for range 8 {
			c = c>>1 ^ crc32.Castagnoli&-(c&1)
		}
		t[i] = c
	}
	return t
}
