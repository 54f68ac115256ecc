package search

import (
	"bytes"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode/utf8"

	"stint.dev/stint/job"
)

const (
	// maxPattern is the longest text or expression that is searched for, in bytes.
	maxPattern = 1000
	// maxSteps bounds the size of the compiled expression: a match takes this size times
	// the text's in the worst case, and cannot be interrupted.
	maxSteps = 1200
	// maxGroups and maxScripts bound parentheses and classes such as \p{Greek}, of which each
	// costs much more than its length when an expression is read.
	maxGroups     = 14
	maxScripts    = 5
	maxExpression = 600 // bytes
	// matchPiece is the number of bytes of a line that are matched at once. A longer line is matched in
	// pieces, each of which repeats the last pieceOverlap bytes of the one before.
	matchPiece   = 256 << 10
	pieceOverlap = 8 << 10
)

// Matcher finds lines. It searches for bytes that every matching line contains before it
// matches single lines, because this search runs at the speed of memory.
type Matcher struct {
	need  finder         // nil if no text is common to all matches
	exact bool           // need finds the match itself
	re    *regexp.Regexp // unless exact
	size  int            // bytes of the text, when exact
}

// finder returns the offset of the first occurrence, or -1.
type finder func(data []byte) int

// PatternError is the reason why a text or an expression cannot be searched for.
type PatternError struct {
	// Expression is set if the parameter is well formed, but is not a valid regular expression
	// or one that is too expensive.
	Expression bool
	Why        string
}

func (e *PatternError) Error() string { return e.Why }

func badPattern(expression bool, format string, args ...any) error {
	return &PatternError{Expression: expression, Why: fmt.Sprintf(format, args...)}
}

// NewMatcher compiles a query. It ignores case as package regexp does, unless exactCase is set. The error is a
// *PatternError.
func NewMatcher(query string, isRegexp, exactCase bool) (*Matcher, error) {
	switch {
	case query == "":
		return nil, badPattern(false, "q is empty: say what to look for")
	case len(query) > maxPattern:
		return nil, badPattern(false, "q has %d bytes; the most is %d", len(query), maxPattern)
	case !utf8.ValidString(query):
		return nil, badPattern(false, "q is not text")
	case !isRegexp && strings.Contains(query, "\n"):
		return nil, badPattern(false, "q has a line break: a match lies within one line")
	}
	if !isRegexp && exactCase {
		text := []byte(query)
		return &Matcher{need: func(data []byte) int { return bytes.Index(data, text) }, exact: true, size: len(text)}, nil
	}
	flags := syntax.Perl
	if !exactCase {
		flags |= syntax.FoldCase
	}
	pattern := query
	if !isRegexp {
		pattern = regexp.QuoteMeta(query)
	}
	if isRegexp {
		if err := checkExpression(query); err != nil {
			return nil, badPattern(true, "%s cannot be searched for: %s", job.Quote(query), err)
		}
	}
	tree, err := syntax.Parse(pattern, flags)
	if err != nil {
		return nil, badPattern(true, "%s is not a regular expression (RE2): %s", job.Quote(query), regexpFault(err))
	}
	if n := stepsOf(tree); n > maxSteps {
		return nil, badPattern(true, "%s cannot be searched for: it is too large when its repetitions are written out (%d steps of at most %d)",
			job.Quote(query), n, maxSteps)
	}
	if !exactCase {
		pattern = "(?i)" + pattern
	}
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, badPattern(true, "%s is not a regular expression (RE2): %s", job.Quote(query), regexpFault(err))
	}
	return &Matcher{need: required(tree), re: re}, nil
}

// checkExpression returns an error for an expression that is expensive to compile.
func checkExpression(text string) error {
	if len(text) > maxExpression {
		return fmt.Errorf("it has %d bytes; the most of a regular expression is %d", len(text), maxExpression)
	}
	if n := strings.Count(text, "("); n > maxGroups {
		return fmt.Errorf("it has %d groups; the most is %d", n, maxGroups)
	}
	if n := strings.Count(text, `\p`) + strings.Count(text, `\P`); n > maxScripts {
		return fmt.Errorf("it has %d classes such as \\pL; the most is %d", n, maxScripts)
	}
	return nil
}

// stepsOf estimates how long an expression is when its repetitions are written out.
func stepsOf(re *syntax.Regexp) int {
	const enough = 1 << 20 // large enough, and without overflow
	n := 0
	for _, sub := range re.Sub {
		n += stepsOf(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpConcat:
	case syntax.OpStar, syntax.OpPlus, syntax.OpQuest:
		n += 3
	case syntax.OpCapture, syntax.OpAlternate:
		n += len(re.Sub) + 1
	case syntax.OpRepeat:
		if re.Min != re.Max {
			n += 3
		}
		if re.Max < 0 {
			n *= re.Min + 1
		} else {
			n *= re.Max
		}
	default:
		n++
	}
	return min(n, enough)
}

// regexpFault returns the message of package regexp without its prefix.
func regexpFault(err error) string {
	return strings.TrimPrefix(err.Error(), "error parsing regexp: ")
}

// maxRequired is the maximum number of required texts that a matcher searches for.
const maxRequired = 3

// required returns a finder for the longest texts that every match of an expression contains,
// or nil if there are none.
func required(tree *syntax.Regexp) finder {
	texts := requiredTexts(tree)
	slices.SortStableFunc(texts, func(a, b requiredText) int { return len(b.text) - len(a.text) })
	finders := make([]finder, 0, maxRequired)
	for _, t := range texts[:min(len(texts), maxRequired)] {
		want := []byte(t.text)
		if t.fold {
			finders = append(finders, foldFinder(t.text))
			continue
		}
		finders = append(finders, func(data []byte) int { return bytes.Index(data, want) })
	}
	if len(finders) < 2 {
		return append(finders, nil)[0]
	}
	return func(data []byte) int { return lastOf(finders, data) }
}

// lastOf returns the highest offset of the first occurrences of all texts, or -1 if
// a text does not occur. No line before this offset contains all of them.
func lastOf(finders []finder, data []byte) int {
	last := 0
	for _, find := range finders {
		at := find(data)
		if at < 0 {
			return -1
		}
		last = max(last, at)
	}
	return last
}

// requiredText is a text that every match contains, and whether its case does not matter.
type requiredText struct {
	text string
	fold bool
}

// requiredTexts returns the texts that every match contains. Of text whose case does not matter it takes ASCII only, and
// not k and s, which regexp also matches with letters outside of ASCII.
func requiredTexts(re *syntax.Regexp) []requiredText {
	var out []requiredText
	switch re.Op {
	case syntax.OpLiteral:
		one := requiredText{text: string(re.Rune)}
		if re.Flags&syntax.FoldCase != 0 {
			one = requiredText{plainRun(re.Rune), true}
		}
		if one.text != "" {
			out = append(out, one)
		}
	case syntax.OpCapture, syntax.OpPlus:
		return requiredTexts(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return requiredTexts(re.Sub[0])
		}
	case syntax.OpConcat:
		for _, sub := range re.Sub {
			out = append(out, requiredTexts(sub)...)
		}
	}
	return out
}

// plainRun returns the longest part of a text that is ASCII and contains no k and no s.
func plainRun(text []rune) string {
	var best, cur []rune
	for _, r := range text {
		if r >= utf8.RuneSelf || strings.ContainsRune("kKsS", r) {
			cur = nil
			continue
		}
		if cur = append(cur, r); len(cur) > len(best) {
			best = cur
		}
	}
	return strings.ToLower(string(best))
}

// rareFirst are letters of English text and of logs from the rarest to the most common.
// Other characters count as rarer than letters, except for the space and digits.
const rareFirst = "qzjxwvkybfgmhupdlcsnoriate 0123456789"

// foldFinder finds lower-case ASCII text and ignores the case of the data. It searches for
// the text's rarest byte.
func foldFinder(text string) finder {
	rare, rank := 0, len(rareFirst)
	for i := range len(text) {
		if r := strings.IndexByte(rareFirst, text[i]); r < rank {
			rare, rank = i, r
		}
	}
	lower := text[rare]
	upper := lower
	if lower >= 'a' && lower <= 'z' {
		upper = lower - 'a' + 'A'
	}
	return func(data []byte) int {
		low := nextByte(data, lower, 0)
		up := len(data)
		if upper != lower {
			up = nextByte(data, upper, 0)
		}
		for {
			at := min(low, up)
			if at >= len(data) {
				return -1
			}
			if from := at - rare; from >= 0 && len(data)-from >= len(text) && equalFold(data[from:from+len(text)], text) {
				return from
			}
			if at == low {
				low = nextByte(data, lower, at+1)
			} else {
				up = nextByte(data, upper, at+1)
			}
		}
	}
}

// nextByte returns the offset of the next occurrence of a byte, or the length of data.
func nextByte(data []byte, b byte, from int) int {
	if i := bytes.IndexByte(data[from:], b); i >= 0 {
		return from + i
	}
	return len(data)
}

// equalFold compares data with lower-case ASCII text and ignores the case of data.
func equalFold(data []byte, lower string) bool {
	for i, c := range data {
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// find returns the first match in a line, and false if there is none.
func (m *Matcher) find(line []byte) (from, to int, ok bool) {
	if m.exact {
		from = m.need(line)
		return from, from + m.size, from >= 0
	}
	if m.need != nil && m.need(line) < 0 {
		return 0, 0, false
	}
	for base := 0; ; base += matchPiece - pieceOverlap {
		end := min(len(line), base+matchPiece)
		if at := m.re.FindIndex(line[base:end]); at != nil {
			return base + at[0], base + at[1], true
		}
		if end == len(line) {
			return 0, 0, false
		}
	}
}

// maxRanges is the maximum number of ranges in one line of the answer.
const maxRanges = 100

// ranges returns the ranges of the matches in a short text.
func (m *Matcher) ranges(text []byte) [][2]int {
	var out [][2]int
	if !m.exact {
		for _, at := range m.re.FindAllIndex(text, maxRanges) {
			out = append(out, [2]int{at[0], at[1]})
		}
		return out
	}
	for pos := 0; len(out) < maxRanges; {
		at := m.need(text[pos:])
		if at < 0 {
			break
		}
		out = append(out, [2]int{pos + at, pos + at + m.size})
		pos += at + m.size
	}
	return out
}
