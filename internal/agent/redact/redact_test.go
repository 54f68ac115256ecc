package redact

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// masked is the definition: every byte of every occurrence, each run of them one Mark.
func masked(text string, values []string) string {
	covered := make([]bool, len(text))
	for _, v := range values {
		for i := 0; v != "" && i+len(v) <= len(text); i++ {
			if text[i:i+len(v)] == v {
				for j := i; j < i+len(v); j++ {
					covered[j] = true
				}
			}
		}
	}
	var b strings.Builder
	for i := range len(text) {
		if !covered[i] {
			b.WriteByte(text[i])
		} else if i == 0 || !covered[i-1] {
			b.WriteString(Mark)
		}
	}
	return b.String()
}

// heldBack is the definition of what may be held at the end of text: the longest end of it
// that begins a value and is not known to be masked.
func heldBack(text string, values []string) int {
	for n := len(text); n > 0; n-- {
		for _, v := range values {
			if len(v) > n && strings.HasPrefix(v, text[len(text)-n:]) {
				return n
			}
		}
	}
	return 0
}

// inPieces masks text cut at the given lengths, and checks the bound of what is held.
func inPieces(t interface{ Fatalf(string, ...any) }, s *Set, text string, values []string, cuts []int) string {
	if s == nil {
		return text
	}
	stream := s.Stream()
	var out []byte
	for rest := text; rest != ""; {
		n := len(rest)
		if len(cuts) > 0 {
			n, cuts = min(n, cuts[0]), cuts[1:]
		}
		out = stream.Mask(out, []byte(rest[:n]))
		rest = rest[n:]
		if most := heldBack(text[:len(text)-len(rest)], values); len(stream.held) > most {
			t.Fatalf("%d bytes are held, at most %d can become a value of %q: %q", len(stream.held), most, values, stream.held)
		}
	}
	out = stream.Flush(out)
	if len(stream.held) != 0 {
		t.Fatalf("held after the flush: %q", stream.held)
	}
	return string(out)
}

func TestAnySplitMasksTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few letters, so that values overlap, contain each other and begin alike.
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab\n")), 1, 7, -1)
		values := rapid.SliceOfN(word, 0, 5).Draw(t, "values")
		parts := rapid.SliceOfN(rapid.OneOf(word, rapid.SampledFrom(append(values, "x"))), 0, 12).Draw(t, "text")
		text := strings.Join(parts, "")
		cuts := rapid.SliceOfN(rapid.IntRange(1, 5), 0, 40).Draw(t, "cuts")
		s := NewSet(values)
		want := masked(text, values)
		if got := inPieces(t, s, text, values, cuts); got != want {
			t.Fatalf("in pieces %v: %q, want %q", cuts, got, want)
		}
		if got := s.String(text); got != want {
			t.Fatalf("as one: %q, want %q", got, want)
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add("hunter22", "unter2xx", "say hunter2hunter22 and hunter2xx", uint8(3))
	f.Add("aaaaaa", "aaaaab", "aaaaaaaaaaaaab", uint8(1))
	f.Add("\x00\xff\xfe", "\xff", "\x00\xff\x00\xff\xfe", uint8(2))
	f.Fuzz(func(t *testing.T, one, two, text string, cut uint8) {
		values := []string{one, two}
		cuts := bytes.Repeat([]byte{cut}, 64)
		var lengths []int
		for _, c := range cuts {
			lengths = append(lengths, int(c)%9+1)
		}
		if got, want := inPieces(t, NewSet(values), text, values, lengths), masked(text, values); got != want {
			t.Errorf("values %q, text %q in pieces of %d: %q, want %q", values, text, lengths[0], got, want)
		}
	})
}

func TestNoValuesMaskNothing(t *testing.T) {
	s := NewSet([]string{"", ""})
	if s != nil || s.String("text") != "text" || s.Strings([]string{"a"})[0] != "a" {
		t.Error("a set of nothing masks something")
	}
}

func TestNotHeldLongerThanItCanBecomeAValue(t *testing.T) {
	stream := NewSet([]string{"Pa55word"}).Stream()
	if out := stream.Mask(nil, []byte("user: Pa")); string(out) != "user: " {
		t.Errorf("%q went out", out)
	}
	if out := stream.Mask(nil, []byte("ul\n")); string(out) != "Paul\n" {
		t.Errorf("then %q", out)
	}
	if out := stream.Mask(nil, []byte("Pa55")); len(out) != 0 {
		t.Errorf("half of a value went out: %q", out)
	}
	if out := stream.Mask(nil, []byte("word")); string(out) != Mark {
		t.Errorf("%q for the value, which waits for nothing more", out)
	}
}

// benchmarkText is a log of lines as jobs print them.
func benchmarkText() []byte {
	line := "2026-11-22T17:02:11Z INFO step=184 loss=0.1931 lr=3.0e-04 tokens/s=18234 gpu=81% path=/data/shards/0193.parquet\n"
	return bytes.Repeat([]byte(line), (256<<10)/len(line))
}

func benchmarkStream(b *testing.B, values []string) {
	stream, text := NewSet(values).Stream(), benchmarkText()
	out := make([]byte, 0, 2*len(text))
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		out = stream.Mask(out[:0], text)
	}
}

func BenchmarkThreeSecrets(b *testing.B) {
	benchmarkStream(b, []string{"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "correct horse battery staple"})
}

// The same with every form in which they are masked.
func BenchmarkThreeSecretsInAllForms(b *testing.B) {
	var values []string
	for _, v := range []string{"ghp_16C7e42F292c6912E7710c838347Ae178B4a", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "correct horse battery staple"} {
		values = append(values, Forms(v)...)
	}
	benchmarkStream(b, values)
}

// Each line begins as a value does: the slow path.
func BenchmarkNearMisses(b *testing.B) {
	benchmarkStream(b, []string{"2026-11-22T17:02:12Z", "INFO step=185", "loss=0.1930"})
}
