package tables

import (
	"testing"

	"pgregory.net/rapid"
)

// Whatever sizes arrive, the counts always describe the last blocks, none is left full,
// and every run of fan small blocks of a tier becomes one.
func TestTiers(t *testing.T) {
	type block struct {
		size int64
		tier int
	}
	rapid.Check(t, func(rt *rapid.T) {
		var counts Tiers
		var blocks []block
		for range rapid.IntRange(0, 600).Draw(rt, "appends") {
			size := rapid.SampledFrom([]int64{1, 100, 1000, 3000, bigBlock - 1, bigBlock}).Draw(rt, "size")
			blocks = append(blocks, block{size, 0})
			counts.Add(size)
			for counts.IsFull() {
				last := blocks[len(blocks)-Fan:]
				merged := block{tier: last[0].tier + 1}
				for _, b := range last {
					if b.tier != last[0].tier || b.size >= bigBlock {
						rt.Fatalf("merges %+v", last)
					}
					merged.size += b.size
				}
				blocks = append(blocks[:len(blocks)-Fan], merged)
				counts.Merge(merged.size)
			}
			if counts[0] >= Fan || counts[1] >= Fan {
				rt.Fatalf("counts %v", counts)
			}
		}
	})
}
