package tables

// Small blocks are merged like digits are carried: blocks that arrive are of tier 0; when
// there are Fan of a tier at the end of a journal, they become one block of the next
// tier. A block of bigBlock bytes or more ends the row of small ones before it. So a
// journal has few blocks, a merge handles at most fan × bigBlock bytes, and a byte is
// rewritten at most once per tier.
const (
	Fan      = 16
	bigBlock = 32 << 10
)

// Tiers counts, for each tier, the blocks of it at the end of the journal: first those of
// the highest tier, last those of tier 0.
type Tiers [3]int

// Arrived notes a new block at the end.
func (t *Tiers) Add(size int64) {
	if size >= bigBlock {
		*t = Tiers{}
		return
	}
	t[0]++
}

// Full says whether the last Fan blocks are to become one.
func (t *Tiers) IsFull() bool { return t[0] >= Fan || t[1] >= Fan }

// Merged notes that the last Fan blocks became one of the given size.
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
