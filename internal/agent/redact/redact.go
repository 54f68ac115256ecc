// Package redact masks secret values in text and in streams of bytes. It is pure: names,
// values and bytes in, masked bytes out; it reads no environment, no file and no clock.
//
// What is masked is every byte that belongs to an occurrence of a value, also where
// occurrences overlap; each run of such bytes becomes one Mark. How a stream was cut into
// pieces makes no difference to the result.
package redact

import "slices"

// Mark stands where a secret stood, however long that was: its length is a hint, too.
const Mark = "[masked]"

// MinLength is the length in bytes from which a value is masked. Masking shorter ones would
// tear holes into text that has nothing to do with them, and give them away by the holes.
const MinLength = 6

// Set is a set of values to be masked. It does not change and is safe for concurrent use.
// A nil Set masks nothing.
type Set struct {
	nodes []node
	first [256]int32 // node of a value's first byte; 0 for none
	least int        // length of the shortest value
	begin pairs      // first two bytes of a value
	front pairs      // any two neighbours among the first bytes of a value, least of them
}

// pairs is a set of two bytes that follow each other, one bit each.
type pairs [1024]uint64

func (p *pairs) add(a, b byte) {
	bit := uint(a)<<8 | uint(b)
	p[bit/64] |= 1 << (bit % 64)
}

func (p *pairs) has(a, b byte) bool {
	bit := uint(a)<<8 | uint(b)
	return p[bit/64]&(1<<(bit%64)) != 0
}

// node is a place in a trie of the values, with the links of Aho and Corasick. Most nodes
// have one child, so children are a list and not a table: an environment may hold long keys,
// and the agent is to stay small.
type node struct {
	child, sibling int32
	fail           int32 // the node of the longest proper suffix that is in the trie
	depth          int32
	match          int32 // length of the longest value that ends here; 0 for none
	b              byte
}

// NewSet makes a set of values. Empty ones are left out; with none left it returns nil.
// It takes values of any length: MinLength is for those who choose them.
func NewSet(values []string) *Set {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	values = slices.Compact(values)
	s := &Set{nodes: make([]node, 1), least: len(values[0])}
	for _, v := range values {
		s.least = min(s.least, len(v))
	}
	for _, v := range values {
		s.add(v)
	}
	s.link()
	return s
}

func (s *Set) add(v string) {
	at := int32(0)
	for i := range len(v) {
		next := s.under(at, v[i])
		if next == 0 {
			next = int32(len(s.nodes))
			s.nodes = append(s.nodes, node{b: v[i], depth: int32(i + 1), sibling: s.nodes[at].child})
			s.nodes[at].child = next
			if at == 0 {
				s.first[v[i]] = next
			}
		}
		at = next
	}
	s.nodes[at].match = int32(len(v))
	for i := range s.least - 1 {
		s.front.add(v[i], v[i+1])
	}
	if s.least > 1 {
		s.begin.add(v[0], v[1])
	}
}

// link sets fail and match, the nodes nearest to the root first: a node's links are made of
// those of shorter nodes.
func (s *Set) link() {
	queue := make([]int32, 1, len(s.nodes))
	for head := 0; head < len(queue); head++ {
		at := queue[head]
		for c := s.nodes[at].child; c != 0; c = s.nodes[c].sibling {
			if at != 0 {
				s.nodes[c].fail = s.step(s.nodes[at].fail, s.nodes[c].b)
			}
			s.nodes[c].match = max(s.nodes[c].match, s.nodes[s.nodes[c].fail].match)
			queue = append(queue, c)
		}
	}
}

// under is the child of a node for a byte; 0 for none.
func (s *Set) under(at int32, b byte) int32 {
	if at == 0 {
		return s.first[b]
	}
	c := s.nodes[at].child
	for c != 0 && s.nodes[c].b != b {
		c = s.nodes[c].sibling
	}
	return c
}

// step is where a byte leads: the longest end of what was read that may become a value.
func (s *Set) step(at int32, b byte) int32 {
	for {
		if next := s.under(at, b); next != 0 || at == 0 {
			return next
		}
		at = s.nodes[at].fail
	}
}

// skip is how many of the first bytes of b cannot begin a value. The last byte is judged
// alone: its neighbour is not known yet.
//
// A value that begins anywhere in the least-1 bytes from i on has the two bytes at the end
// of these among its first ones: one look at them clears all these places at once.
func (s *Set) skip(b []byte) int {
	i := 0
	for s.least > 1 && i+s.least <= len(b) {
		end := i + s.least - 1
		if !s.front.has(b[end-1], b[end]) {
			i = end
			continue
		}
		for ; i < end; i++ {
			if s.begin.has(b[i], b[i+1]) {
				return i
			}
		}
	}
	for ; i < len(b); i++ {
		if s.first[b[i]] != 0 {
			return i
		}
	}
	return len(b)
}

// String is a whole text, masked.
func (s *Set) String(text string) string {
	if s == nil || s.skip([]byte(text)) == len(text) {
		return text
	}
	stream := s.Stream()
	return string(stream.Flush(stream.Mask(nil, []byte(text))))
}

// Strings are whole texts, masked one by one; list itself stays as it is.
func (s *Set) Strings(list []string) []string {
	if s == nil || list == nil {
		return list
	}
	out := make([]string, len(list))
	for i, text := range list {
		out[i] = s.String(text)
	}
	return out
}

// Stream masks one stream of bytes that comes in pieces. It is for one goroutine.
//
// The end of a piece that may be the beginning of a value is held back, and nothing else
// is: less than the longest value, and only until a byte comes that cannot belong to it.
// No time makes it go: what was let go after a pause could be the first half of a secret,
// and a program that prints it byte by byte would have it shown whole. The price is that
// the last characters of a prompt may be missing while they are also the first of a value.
type Stream struct {
	set     *Set
	state   int32
	held    []byte
	covered []bool // which of held belong to an occurrence
	inMark  bool   // the last byte that went out belongs to a mark
}

// Stream begins a stream.
func (s *Set) Stream() *Stream { return &Stream{set: s} }

// Mask appends to dst what of the stream can be said after src, and returns dst. That may be
// more than src has: a Mark can be longer than the value.
func (st *Stream) Mask(dst, src []byte) []byte {
	s := st.set
	for i := 0; i < len(src); i++ {
		if st.state == 0 { // so nothing is held
			if n := s.skip(src[i:]); n > 0 {
				dst = append(dst, src[i:i+n]...)
				st.inMark = false
				if i += n; i == len(src) {
					break
				}
			}
		}
		st.state = s.step(st.state, src[i])
		st.held, st.covered = append(st.held, src[i]), append(st.covered, false)
		at := &s.nodes[st.state]
		for j := max(0, len(st.held)-int(at.match)); j < len(st.covered); j++ {
			st.covered[j] = true
		}
		dst = st.release(dst, len(st.held)-int(at.depth))
	}
	return dst
}

// Flush appends what is still held, at the end of the stream, and returns dst.
func (st *Stream) Flush(dst []byte) []byte {
	st.state = 0
	return st.release(dst, len(st.held))
}

// Held is how many bytes are held back.
func (st *Stream) Held() int { return len(st.held) }

// release lets go the first n of the held bytes, and those after them that are known to
// belong to an occurrence.
func (st *Stream) release(dst []byte, n int) []byte {
	i := 0
	for ; i < len(st.held) && (i < n || st.covered[i]); i++ {
		switch {
		case !st.covered[i]:
			dst = append(dst, st.held[i])
		case !st.inMark:
			dst = append(dst, Mark...)
		}
		st.inMark = st.covered[i]
	}
	if i > 0 {
		st.held = st.held[:copy(st.held, st.held[i:])]
		st.covered = st.covered[:copy(st.covered, st.covered[i:])]
	}
	return dst
}
