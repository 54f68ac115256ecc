package journal

import (
	"hash/crc32"
	"sync"
	"sync/atomic"
)

// Checksums are CRC-32C. The tables with which the processor computes one fast take 0.15 ms
// to make, more than anything else that happens before a short job starts: so the first
// ones, if they are of short texts, are computed with a table that is made in 2 µs.
const (
	shortText = 4 << 10
	firstOnes = 64
)

var (
	fastTable  = sync.OnceValue(func() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) })
	plainTable = sync.OnceValue(makePlainTable)
	computed   atomic.Int64 // with the plain table
)

func checksum(b []byte) uint32 {
	if len(b) <= shortText && computed.Load() < firstOnes {
		computed.Add(1)
		return crc32.Checksum(b, plainTable())
	}
	return crc32.Checksum(b, fastTable())
}

// makePlainTable makes the table of the definition. As it is not the one that hash/crc32
// made, that package uses it as it stands.
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
