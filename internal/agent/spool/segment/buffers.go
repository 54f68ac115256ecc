package segment

// Buffers keeps memory for reuse.
type Buffers struct{ spare [][]byte }

// maxSpare is how many buffers are kept: about as many as may wait for a disk that works. With
// fewer, most of the agent's CPU while a job prints fast goes into making and collecting them.
const maxSpare = 5

// Get returns memory of a size, reused if possible.
func (b *Buffers) Get(size int) []byte {
	for n := len(b.spare); n > 0; n = len(b.spare) {
		buf := b.spare[n-1]
		b.spare = b.spare[:n-1]
		if cap(buf) >= size {
			return buf[:size]
		}
	}
	return make([]byte, size)
}

// Put keeps memory that is not used any more.
func (b *Buffers) Put(buf []byte) {
	if cap(buf) >= 64<<10 && len(b.spare) < maxSpare {
		b.spare = append(b.spare, buf)
	}
}
