package redact

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"
)

// reached is how far a pattern's occurrence that begins at start gets in text: where the
// whole pattern ends, and whether the text ends before it does.
func reached(p pattern, text string, start int) (ends []int, open bool) {
	type place struct{ at, offset, brk int }
	seen := map[place]bool{}
	var visit func(place)
	visit = func(here place) {
		if seen[here] {
			return
		}
		seen[here] = true
		if here.at == len(p.text) {
			ends = append(ends, here.offset)
			return
		}
		if here.offset == len(text) {
			open = true
			return
		}
		accept := func(decoded []byte, length int) {
			if len(decoded) == 0 {
				return
			}
			if here.at > 0 && p.wraps && breaks(here.brk, decoded[0], length > 1) {
				visit(place{here.at, here.offset + length, here.brk + 1})
				return
			}
			if strings.HasPrefix(p.text[here.at:], string(decoded)) && !(p.wraps && length > 1 && isAlphanumeric(decoded[0])) {
				visit(place{here.at + len(decoded), here.offset + length, 0})
			}
		}
		rest := text[here.offset:]
		accept([]byte(rest[:1]), 1)
		if rest[0] == '+' {
			accept([]byte(" "), 1)
		}
		for n := 2; n <= min(len(rest), maxUnit); n++ {
			if how, decoded, other := unit([]byte(rest[:n])); how == fullUnit {
				accept(decoded, n)
				accept(other, n)
			}
		}
		if how, _, _ := unit([]byte(rest)); how == openUnit {
			open = true
		}
	}
	visit(place{offset: start})
	return ends, open
}

// masked is the definition: every byte of every occurrence, each run of them one Mark.
func masked(text string, s *Set) string {
	covered := make([]bool, len(text))
	for _, p := range s.patterns {
		for i := range len(text) {
			ends, _ := reached(p, text, i)
			for _, end := range ends {
				for j := i; j < end; j++ {
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
// that begins an occurrence or an escape.
func heldBack(text string, s *Set) int {
	for i := range len(text) {
		if how, _, _ := unit([]byte(text[i:])); how == openUnit {
			return len(text) - i
		}
		for _, p := range s.patterns {
			if _, open := reached(p, text, i); open {
				return len(text) - i
			}
		}
	}
	return 0
}

// inPieces masks text cut at the given lengths; held is called with what was taken so far and
// how much of it is held.
func inPieces(s *Set, text string, cuts []int, held func(taken string, n int)) string {
	stream := s.Stream()
	var out []byte
	for rest := text; rest != ""; {
		n := len(rest)
		if len(cuts) > 0 {
			n, cuts = min(n, cuts[0]), cuts[1:]
		}
		out = stream.Mask(out, []byte(rest[:n]))
		rest = rest[n:]
		held(text[:len(text)-len(rest)], len(stream.held)-stream.released)
	}
	out = stream.Flush(out)
	held("", len(stream.held))
	return string(out)
}

// written draws a value as some encoder may write it: each character in any form of its own.
func written(t *rapid.T, p pattern) string {
	var b strings.Builder
	for i := 0; i < len(p.text); {
		c, length := character{r: rune(p.text[i]), isByte: true, wraps: p.wraps}, 1
		if r, n := utf8.DecodeRuneInString(p.text[i:]); n > 1 && rapid.Bool().Draw(t, "as a character") {
			c, length = character{r: r}, n
		}
		var forms []form
		c.eachForm(func(f *form) { forms = append(forms, *f) })
		f := forms[rapid.IntRange(0, len(forms)-1).Draw(t, "form")]
		for k := range f.n {
			b.WriteByte(rapid.SampledFrom([]byte{f.low[k], f.high[k]}).Draw(t, "case"))
		}
		if i += length; p.wraps && i < len(p.text) && rapid.IntRange(0, 9).Draw(t, "break") == 0 {
			b.WriteString(rapid.SampledFrom([]string{"\n", "\r\n", `\n`, "\n    ", "%0D%0A"}).Draw(t, "line end"))
		}
	}
	return b.String()
}

func TestAnySplitMasksTheWhole(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		// Few letters, so that values overlap, contain each other and begin alike.
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab\n\\ '\"%/é😀")), 1, 8, -1)
		values := rapid.SliceOfN(word, 1, 4).Draw(t, "values")
		s := NewSet(values)
		parts := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) string {
			if rapid.Bool().Draw(t, "a word") {
				return word.Draw(t, "word")
			}
			return written(t, rapid.SampledFrom(s.patterns).Draw(t, "pattern"))
		}), 0, 6).Draw(t, "text")
		text := strings.Join(parts, rapid.SampledFrom([]string{"", " filler that holds nothing 81% "}).Draw(t, "between"))
		cuts := rapid.SliceOfN(rapid.IntRange(1, 9), 0, 40).Draw(t, "cuts")
		want := masked(text, s)
		held := func(taken string, n int) {
			if most := heldBack(taken, s); n > most {
				t.Fatalf("%d bytes at the end of %q are held, at most %d can become a value of %v", n, taken, most, s.patterns)
			}
		}
		if got := inPieces(s, text, cuts, held); got != want {
			t.Fatalf("in pieces %v: %q, want %q", cuts, got, want)
		}
		if got := s.String(text); got != want {
			t.Fatalf("as one: %q, want %q", got, want)
		}
	})
}

// Whatever form of each character an encoder chooses, nothing of the value stays.
func TestEveryFormIsMasked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.StringOfN(rapid.RuneFrom([]rune("aZ09 +/=%&\\'\"<>!(~\t\x01éß中😀")), MinLength, 30, -1).Draw(t, "value")
		s := NewSet([]string{value})
		p := rapid.SampledFrom(s.patterns).Draw(t, "pattern")
		text := written(t, p)
		if got := s.String(text); got != Mark {
			t.Fatalf("%q, written as %q, stays as %q", p.text, text, got)
		}
	})
}

func FuzzStream(f *testing.F) {
	f.Add("hunter22", "unter2xx", "say hunter2hunter22 and hunter2xx", uint8(3))
	f.Add("aaaaaa", "aaaaab", "aaaaaaaaaaaaab", uint8(1))
	f.Add("\x00\xff\xfe", "\xff", "\x00\xff\x00\xff\xfe", uint8(2))
	f.Add("it's \"so\"", "pä/ss wö+rd", `it'\''s \u0022so""|p%c3%A4\/ss+w\xf6\x2brd|&quot;`, uint8(2))
	f.Add("abaabaab", "aaaaaaaa", "abaabaabaabaabaaaaaaaaaaaaaabaab%61aaaaaaa%61%61aaaaaa", uint8(3))
	f.Add(`\\\\\\\\`, "a+a+a+a+", `\\\\\\\\\\\\\\\\\\\\\\|a+a+a+a+a a+a a+a+a+`, uint8(4))
	f.Add("hunter22", "😀key😀", "aHVu\r\n  dGVy\\nMjI=\\ud83d\\ude00key\\u{1f600}", uint8(5))
	f.Fuzz(func(t *testing.T, one, two, text string, cut uint8) {
		if len(one)+len(two) > 60 || len(text) > 200 {
			return // the definition is slow
		}
		s := NewSet([]string{one, two})
		if s == nil {
			return
		}
		lengths := slices.Repeat([]int{int(cut)%9 + 1}, 64)
		if got, want := inPieces(s, text, lengths, func(string, int) {}), masked(text, s); got != want {
			t.Errorf("values %q, %q, text %q in pieces of %d: %q, want %q", one, two, text, lengths[0], got, want)
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

// Each line begins as a value does: the slow path.
func BenchmarkNearMisses(b *testing.B) {
	benchmarkStream(b, []string{"2026-11-22T17:02:12Z", "INFO step=185", "loss=0.1930"})
}

// What a job's start waits for.
func BenchmarkNewSet(b *testing.B) {
	env := []string{
		"GITHUB_TOKEN=ghp_16C7e42F292c6912E7710c838347Ae178B4a", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
		"DB_PASSWORD=correct horse battery staple", "DATABASE_URL=postgres://ada:s3cr%2Ft-pw@db/x", "SLACK_TOKEN=xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOHcbrzqgy",
	}
	for b.Loop() {
		NewSet(Find(env, Options{}).Values)
	}
}

// A text that repeats itself as a value does.
func BenchmarkRepeated(b *testing.B) {
	for name, c := range map[string]struct {
		value, text string
		times       int
	}{
		"64 of one byte":          {strings.Repeat("a", 64), "a", 256 << 10},
		"4096 of one byte":        {strings.Repeat("a", 4096), "a", 256 << 10},
		"100 KB of one byte":      {strings.Repeat("a", 100_000), "a", 256 << 10},
		"64 of two bytes":         {strings.Repeat("ab", 32), "ab", 128 << 10},
		"100 KB of one byte, not": {strings.Repeat("a", 100_000) + "b", "a", 256 << 10},
		"nearly 64 of one byte":   {strings.Repeat("a", 64), strings.Repeat("a", 63) + "b", 4 << 10},
		"in base64":               {strings.Repeat("a", 64), "YWFh", 64 << 10},
		"in percents":             {strings.Repeat("a", 64), "%61", 85 << 10},
	} {
		b.Run(name, func(b *testing.B) {
			s, text := NewSet([]string{c.value}), []byte(strings.Repeat(c.text, c.times))
			out := make([]byte, 0, 2*len(text))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				stream := s.Stream()
				out = stream.Flush(stream.Mask(out[:0], text))
			}
		})
	}
}

// However long a value is, a text that repeats itself as it does makes no more matches than there
// are patterns and readings, and what is held is copied seldom.
func TestRepeatedTextMakesFewMatches(t *testing.T) {
	for _, c := range []struct {
		unit  string
		times int
		text  string
		most  int
	}{
		{"a", 64, "a", 1},
		{"a", 10_000, "a", 1},
		{"ab", 500, "ab", 2},
		{"abc", 500, "abc", 3},
		{"aab", 500, "aab", 3},
		{"a", 64, "%61", 3},
		{"a", 64, `\x61`, 3},
		{"a", 64, "YWFh", 10},
		{"a", 64, strings.Repeat("a", 63) + "b", 1},
		{"a", 64, "a\n", 1},
		{"a", 1000, strings.Repeat("a", 100) + "%61", 2*1000/101 + 2}, // one for each change of the form within the value
	} {
		value := strings.Repeat(c.unit, c.times)
		s := NewSet([]string{value})
		text := strings.Repeat(c.text, 3*len(value)/len(c.text)+10)
		stream := s.Stream()
		most := 0
		var out []byte
		for i := range len(text) {
			out = stream.Mask(out, []byte{text[i]})
			most = max(most, len(stream.matches))
		}
		out = stream.Flush(out)
		if most > c.most {
			t.Errorf("%d times %q, text of %q: %d matches at once, want %d at most", c.times, c.unit, c.text, most, c.most)
		}
		if len(value) <= 100 {
			if want := masked(text, s); string(out) != want {
				t.Errorf("%d times %q, text of %q: %.200q, want %.200q", c.times, c.unit, c.text, out, want)
			}
		}
	}
}
