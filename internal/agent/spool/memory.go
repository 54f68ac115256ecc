package spool

// chunkSize is the grain in which memory is taken and given back.
const chunkSize = 256 << 10

// memory is a run of journal bytes that begins at some offset and can be cut off at its
// front.
type memory struct {
	chunks []chunk
	held   int64 // bytes of memory taken
}

type chunk struct {
	start int64 // journal offset of data[0]
	data  []byte
}

// append adds bytes that stand at a journal offset, right behind those before.
func (m *memory) append(p []byte, offset int64) {
	for len(p) > 0 {
		if n := len(m.chunks); n == 0 || len(m.chunks[n-1].data) == cap(m.chunks[n-1].data) {
			m.chunks = append(m.chunks, chunk{start: offset, data: make([]byte, 0, chunkSize)})
			m.held += chunkSize
		}
		last := &m.chunks[len(m.chunks)-1]
		n := min(len(p), cap(last.data)-len(last.data))
		last.data = append(last.data, p[:n]...)
		p, offset = p[n:], offset+int64(n)
	}
}

// readAt copies what it holds from an offset on, and returns how much that was.
func (m *memory) readAt(p []byte, offset int64) int {
	done := 0
	for _, c := range m.chunks {
		at := offset + int64(done) - c.start
		if at < 0 || at >= int64(len(c.data)) {
			continue
		}
		done += copy(p[done:], c.data[at:])
		if done == len(p) {
			break
		}
	}
	return done
}

// trim gives back whole chunks that end at or before an offset. The last one stays, for it
// may be appended to.
func (m *memory) trim(offset int64) {
	for len(m.chunks) > 1 && m.chunks[0].start+int64(len(m.chunks[0].data)) <= offset {
		m.chunks[0].data = nil
		m.chunks = m.chunks[1:]
		m.held -= chunkSize
	}
}

// start is the first offset that is held; ok is false when nothing is.
func (m *memory) start() (offset int64, ok bool) {
	if len(m.chunks) == 0 {
		return 0, false
	}
	return m.chunks[0].start, true
}
