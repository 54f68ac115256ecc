// Package redact masks secret values in text and in streams of bytes. It is pure: names,
// values and bytes in, masked bytes out; it reads no environment, no file and no clock.
//
// A value is found as it is and in the encodings in which programs print it: see unit for
// escapes, each of which may be used or not for each character by itself, and inBase64.
//
// What is masked is every byte that belongs to an occurrence of a value, also where
// occurrences overlap; each run of such bytes becomes one Mark. How a stream was cut into
// pieces makes no difference to the result.
package redact

import (
	"slices"
	"sync/atomic"
)

// Mark replaces a secret, however long that was: its length is a hint, too.
const Mark = "[masked]"

// MinLength is the minimum length in bytes of a value that is masked. Masking shorter ones would remove unrelated text, and
// disclose them by what is missing.
const MinLength = 6

// Set is a set of values to be masked. It does not change and is safe for concurrent use.
// A nil Set masks nothing.
type Set struct {
	patterns []pattern
	starts   [256][]int32 // patterns by their first byte
	intro    [256]bool    // an escape that begins with this byte may be part of an occurrence
	filter   filter
	links    []links // of patterns, by the same index
}

// links are, for each length of a pattern's beginning, the length of the longest shorter
// beginning with which that ends: 2 for "abcab". They are made when they are needed first.
type links = atomic.Pointer[[]int32]

// linksOf returns the links of a pattern.
func (s *Set) linksOf(pattern int32) []int32 {
	if of := s.links[pattern].Load(); of != nil {
		return *of
	}
	of := linksIn(s.patterns[pattern].text)
	s.links[pattern].Store(&of)
	return of
}

func linksIn(text string) []int32 {
	of := make([]int32, len(text)+1)
	for i, n := 1, int32(0); i < len(text); i++ {
		for n > 0 && text[i] != text[n] {
			n = of[n]
		}
		if text[i] == text[n] {
			n++
		}
		of[i+1] = n
	}
	return of
}

// pattern is a text to be found, each of its characters as it is or escaped.
type pattern struct {
	text string
	// wraps says that the text is base64: a line end and blanks may be between any two of its
	// characters, and only those that are no letters or digits are escaped.
	wraps bool
}

// NewSet makes a set of values. Empty ones are left out; with none left it returns nil.
// It accepts values of any length: the caller applies MinLength.
func NewSet(values []string) *Set {
	values = slices.DeleteFunc(slices.Clone(values), func(v string) bool { return v == "" })
	if len(values) == 0 {
		return nil
	}
	slices.Sort(values)
	s := &Set{}
	for _, v := range slices.Compact(values) {
		s.add(pattern{text: v})
		for _, text := range inBase64(v) {
			s.add(pattern{text: text, wraps: true})
		}
	}
	for _, b := range []byte{'%', '\\', '&'} {
		s.intro[b] = true
	}
	s.filter.build(s.patterns)
	s.links = make([]links, len(s.patterns))
	return s
}

func (s *Set) add(p pattern) {
	if slices.Contains(s.patterns, p) {
		return
	}
	first := p.text[0]
	s.starts[first] = append(s.starts[first], int32(len(s.patterns)))
	s.patterns = append(s.patterns, p)
	for i := range len(p.text) {
		if b := p.text[i]; b == '\'' || b == '"' {
			s.intro[b] = true // a doubled one
		}
	}
}

// String returns text with all values masked.
func (s *Set) String(text string) string {
	if s == nil || s.filter.skip([]byte(text)) == len(text) {
		return text
	}
	stream := s.Stream()
	return string(stream.Flush(stream.Mask(nil, []byte(text))))
}

// Strings returns a copy of list in which each text is masked.
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
