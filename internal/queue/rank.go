package queue

import (
	"encoding/binary"
	"hash/fnv"
)

// Scale is the distance between the ranks of two runs of a lane with weight 1.
const Scale = 1 << 20

// Rank returns the rank of a run that joins the queue, by start-time fair queueing: runs start in
// the order of their ranks. next is that of the lane's following run, and virtual the virtual
// time of the selector, which is the highest rank that was taken. So a lane with many waiting runs
// delays one with few by no more than its share, and no rank is ever changed.
func Rank(next, virtual, weight int64) (rank, following int64) {
	rank = max(next, virtual)
	return rank, rank + Scale/max(weight, 1)
}

// Turn returns the index of the selector from which the next slot of a poll is filled, of those
// with runs that are ready: ranks of different selectors cannot be compared. Each has a chance by
// the weight of its first run, so none waits for ever. The same poll gets the same answer.
func Turn(poll string, slot int, weights []int64) int {
	var total uint64
	for _, w := range weights {
		total += uint64(max(w, 1))
	}
	if total == 0 {
		return 0
	}
	h := fnv.New64a()
	h.Write([]byte(poll))                                        //nolint:errcheck // a hash takes everything
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(slot))) //nolint:errcheck // as above
	at := mix(h.Sum64()) % total
	for i, w := range weights {
		if one := uint64(max(w, 1)); at < one {
			return i
		} else {
			at -= one
		}
	}
	return 0
}

// mix spreads the bits of a hash: the low ones of FNV depend on the last bytes only.
func mix(n uint64) uint64 {
	n ^= n >> 33
	n *= 0xff51afd7ed558ccd
	n ^= n >> 33
	n *= 0xc4ceb9fe1a85ec53
	return n ^ n>>33
}
