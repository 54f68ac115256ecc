package tables

// Small blocks are merged by tiers. Blocks that arrive are of tier 0. When there are Fan blocks of a
// tier at the end of a journal, they become one block of the next tier. A block of bigBlock bytes or
// more ends the sequence of small ones before it. So a journal has few blocks, a merge handles at most
// Fan × bigBlock bytes, and a byte is rewritten at most once per tier.
const (
	Fan      = 16
	bigBlock = 32 << 10
)

// Tiers counts, for each tier, the blocks of it at the end of the journal: first those of
// the highest tier, last those of tier 0.
type Tiers [3]int

// Add counts a new block at the end.
func (t *Tiers) Add(size int64) {
	if size >= bigBlock {
		*t = Tiers{}
		return
	}
	t[0]++
}

// IsFull reports whether the last Fan blocks are to be merged.
func (t *Tiers) IsFull() bool { return t[0] >= Fan || t[1] >= Fan }

// Merge counts that the last Fan blocks became one of the given size.
func (t *Tiers) Merge(size int64) {
	tier := 0
	if t[0] < Fan {
		tier = 1
	}
	t[tier] = 0
	if size >= bigBlock {
		*t = Tiers{}
		return
	}
	t[tier+1]++
}
