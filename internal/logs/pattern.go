package logs

import (
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern is a regular expression that is tried only on lines that have one of the literals
// without which it cannot match: most lines have none.
type pattern struct {
	re       *regexp.Regexp
	literals []string // none: it is always tried
}

func newPattern(text string) pattern {
	re := regexp.MustCompile(text)
	parsed, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		panic(err) // it compiled a moment ago
	}
	return pattern{re, literalsOf(parsed.Simplify())}
}

func (p pattern) match(text string) bool {
	for _, literal := range p.literals {
		if strings.Contains(text, literal) {
			return p.re.MatchString(text)
		}
	}
	return len(p.literals) == 0 && p.re.MatchString(text)
}

// literalsOf returns texts of which one is in everything that an expression matches, the longest
// that can be had; nil when there are none.
func literalsOf(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}
		}
	case syntax.OpCapture, syntax.OpPlus:
		return literalsOf(re.Sub[0])
	case syntax.OpConcat:
		var best []string
		for _, sub := range re.Sub {
			if found := literalsOf(sub); shortest(found) > shortest(best) {
				best = found
			}
		}
		return best
	case syntax.OpAlternate:
		var all []string
		for _, sub := range re.Sub {
			found := literalsOf(sub)
			if found == nil {
				return nil
			}
			all = append(all, found...)
		}
		return all
	}
	return nil
}

// shortest is the length of the shortest of some texts; 0 when there are none.
func shortest(texts []string) int {
	if len(texts) == 0 {
		return 0
	}
	n := len(texts[0])
	for _, text := range texts {
		n = min(n, len(text))
	}
	return n
}
