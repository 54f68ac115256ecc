// Package sequence makes output that can be verified: bytes that are a function of a seed
// and a stream's name alone, so that a later reader knows what every byte must be.
package sequence

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
)

// Bytes are the first n bytes of a stream: lines of all sorts, the last one cut where n
// falls. Every ordinary line has its number, so that a difference shows where it comes from.
func Bytes(seed uint64, stream string, n int) []byte {
	name := fnv.New64a()
	_, _ = name.Write([]byte(stream)) // never fails
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], name.Sum64())
	source := rand.NewChaCha8(key)
	r := rand.New(source)
	out := make([]byte, 0, n+longest)
	raw := make([]byte, longest)
	for number := 1; len(out) < n; number++ {
		switch kind := r.IntN(100); {
		case kind < 80: // text
			out = fmt.Appendf(out, "%s %d %016x\n", stream, number, r.Uint64())
		case kind < 88: // a progress bar
			out = fmt.Appendf(out, "%s %d %d%%\r", stream, number, r.IntN(101))
		case kind < 92: // an empty line
			out = append(out, '\n')
		case kind < 97: // bytes that are no text, some of them line ends
			some := raw[:r.IntN(400)]
			_, _ = source.Read(some) // never fails
			out = append(out, some...)
		default: // a long line
			out = fmt.Appendf(out, "%s %d ", stream, number)
			for range r.IntN(longest) / 16 {
				out = fmt.Appendf(out, "%016x", r.Uint64())
			}
			out = append(out, '\n')
		}
	}
	return out[:n]
}

// longest bounds a line, but for those that lack their end.
const longest = 16 << 10

// Chunks cuts the bytes of two streams into writes of at most some bytes, 0 for about forty
// writes or more, in the order they are to be made. They too are a function of the seed.
func Chunks(seed uint64, stdout, stderr, most int) []Chunk {
	r := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	if most <= 0 {
		most = 1 + (stdout+stderr)/40
	}
	var out []Chunk
	for left := [2]int{stdout, stderr}; left[0]+left[1] > 0; {
		which := 0
		if r.IntN(left[0]+left[1]) >= left[0] {
			which = 1
		}
		size := min(left[which], 1+r.IntN(most))
		left[which] -= size
		out = append(out, Chunk{Stderr: which == 1, Size: size})
	}
	return out
}

// Chunk is one write of the printer.
type Chunk struct {
	Stderr bool
	Size   int
}
