package ending

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
)

// pattern is a regular expression that is matched only with lines that contain one of the literals
// that every match contains: most lines contain none. It is compiled at its first use,
// because most programs that link this package read no log.
type pattern struct {
	text     string
	compile  sync.Once
	re       *regexp.Regexp
	literals []string // if empty, the expression is always matched
}

func newPattern(text string) *pattern { return &pattern{text: text} }

// regexp returns the expression.
func (p *pattern) regexp() *regexp.Regexp {
	p.compile.Do(func() {
		p.re = regexp.MustCompile(p.text)
		if parsed, err := syntax.Parse(p.text, syntax.Perl); err == nil {
			p.literals = literalsOf(parsed.Simplify())
		}
	})
	return p.re
}

func (p *pattern) match(text string) bool {
	re := p.regexp()
	for _, literal := range p.literals {
		if strings.Contains(text, literal) {
			return re.MatchString(text)
		}
	}
	return len(p.literals) == 0 && re.MatchString(text)
}

// comesBefore reports whether p matches in a text before the first match of another pattern.
func (p *pattern) comesBefore(other *pattern, text string) bool {
	if !p.match(text) {
		return false
	}
	at := other.regexp().FindStringIndex(text)
	return at == nil || p.re.FindStringIndex(text)[0] < at[0]
}

// literalsOf returns texts of which every match of an expression contains at least one. It prefers long
// texts, and returns nil if there are none.
func literalsOf(re *syntax.Regexp) []string {
	switch re.Op {
	case syntax.OpLiteral:
		if re.Flags&syntax.FoldCase == 0 {
			return []string{string(re.Rune)}
		}
	case syntax.OpCharClass:
		const most = 8 // maximum number of characters to search for
		var all []string
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1]; r++ {
				if len(all) == most {
					return nil
				}
				all = append(all, string(r))
			}
		}
		return all
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

// shortest returns the length of the shortest text, or 0 if there are none.
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
