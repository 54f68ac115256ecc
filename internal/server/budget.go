package server

import "sync/atomic"

// budget bounds the bytes that bodies in flight hold in memory, over all requests.
type budget struct {
	limit int64
	used  atomic.Int64
}

// take asks for n more bytes and reports whether they may be had.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) > b.limit {
		b.used.Add(-n)
		return false
	}
	return true
}

// give returns n bytes.
func (b *budget) give(n int64) { b.used.Add(-n) }
