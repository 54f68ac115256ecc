package ending

import (
	"strings"

	"stint.dev/stint/job"
)

// Strength is how surely a line states the error.
type Strength int

// A line that is about something else, or only about a consequence of the error, states it only
// if no other line does.
const (
	aside       Strength = iota
	consequence          // "make: *** [all] Error 1"
	Guessed              // the last line of stderr
	Likely               // it speaks of something that failed
	Stated               // it says that it is an error
	diagnostic           // a compiler's, which names a place
	Traced               // it heads or ends a trace of the program's own
)

// Worth of a line by its strength, and what it loses with each line that follows it: an error
// with much after it was probably handled.
var worth = map[Strength]float64{consequence: 5, Guessed: 20, Likely: 30, Stated: 60, diagnostic: 65, Traced: 100}

const (
	worthOfLine   = 0.5
	stdoutPenalty = 20 // errors belong on stderr; one on stdout is often a report of another kind
)

// candidate is a line that may state the error.
type candidate struct {
	at       int // in the lines of its stream
	strength Strength
	worth    float64
}

// ErrorLine returns the line that states the error among the last lines of a step, which are in
// order: the last line of a traceback, the innermost cause of a chain, the first complaint of a
// compiler, and no hint or consequence after them. It is false when none does: a line of stdout
// that does not speak of an error is output like any other.
func ErrorLine(lines []Line) (Line, Strength, bool) {
	var best Line
	var found candidate
	for _, stream := range []job.Stream{job.Stderr, job.Stdout} {
		var own []Line
		for _, l := range lines {
			if l.Stream == stream {
				own = append(own, l)
			}
		}
		c := bestOf(own, stream)
		if c.strength != aside && (found.strength == aside || c.worth > found.worth) {
			found, best = c, own[c.at]
		}
	}
	if found.strength == aside {
		return Line{}, aside, false
	}
	best.Text = strings.TrimLeft(best.Text, gutters)
	if found.strength == diagnostic {
		found.strength = Stated
	}
	return best, found.strength, true
}

// gutters are what programs draw at the left of their errors.
const gutters = "│┃║╷╵╭╰─▶|> \t"

// bestOf is the best candidate among the lines of one stream; an aside when there is none.
func bestOf(lines []Line, stream job.Stream) candidate {
	text := newTexts(lines)
	found := candidate{strength: aside}
	consider := func(at, last int, s Strength, worth float64) {
		worth -= worthOfLine * float64(text.after(last))
		if stream == job.Stdout && s != Traced {
			worth -= stdoutPenalty
		}
		if found.strength == aside || worth > found.worth || worth == found.worth && at > found.at {
			found = candidate{at, s, worth}
		}
	}
	for _, t := range text.traces() {
		if s := strengthOf(text.low[t]); s == consequence {
			consider(t, t, Stated, worth[Stated]-1) // what it ran has printed more
			continue
		}
		consider(t, t, Traced, worth[Traced])
	}
	groupEnd := -1
	for i, s := range text.strength {
		switch {
		case s == aside, text.inTrace[i], text.continues(i):
		case s == Guessed && text.leadsTo(i, consequence):
			consider(i, i, s, worth[Guessed]+worth[consequence])
		case s == Guessed && stream == job.Stdout:
		case s != diagnostic:
			consider(i, i, s, worth[s])
		case i > groupEnd:
			groupEnd = text.groupEnd(i)
			consider(i, groupEnd, s, worth[s])
		}
	}
	return found
}

// continues reports whether a line only goes on with what the one above it states.
func (t *texts) continues(i int) bool {
	return i > 0 && t.indent[i] > t.indent[i-1] && t.strength[i-1] >= max(t.strength[i], Likely) && t.strength[i-1] != diagnostic
}

// leadsTo reports whether the next line that is no aside has a strength.
func (t *texts) leadsTo(i int, s Strength) bool {
	next := t.while(i+1, func(i int) bool { return t.strength[i] == aside })
	return next < len(t.strength) && t.strength[next] == s && !t.inTrace[next]
}

// groupEnd is the last of the complaints of a compiler that begin at a line: fewer than groupGap
// other lines are between two of them.
func (t *texts) groupEnd(from int) int {
	last := from
	for i := from; i < len(t.strength) && i-last <= groupGap; i++ {
		if t.strength[i] == diagnostic {
			last = i
		}
	}
	return last
}

const groupGap = 12

// texts are the lines of one stream, ready to be looked at.
type texts struct {
	text     []string // gutters of exception groups are blanks
	low      []string // trimmed, in lower case, and bounded
	indent   []int
	strength []Strength
	inTrace  []bool // the line is part of a trace that another line states
	behind   []int  // how many lines of weight follow
}

func newTexts(lines []Line) *texts {
	n := len(lines)
	t := &texts{text: make([]string, n), low: make([]string, n), indent: make([]int, n), strength: make([]Strength, n), inTrace: make([]bool, n)}
	for i, l := range lines {
		t.text[i] = withoutGutter(withoutStamp(shorten(l.Text, matchedLength)))
		trimmed := strings.TrimSpace(strings.TrimLeft(t.text[i], gutters))
		t.low[i] = strings.ToLower(trimmed)
		t.indent[i] = len(t.text[i]) - len(strings.TrimLeft(t.text[i], " \t"))
		t.strength[i] = strengthOf(t.low[i])
	}
	for i := 1; i < n; i++ { // Python quotes the source below a warning
		if t.strength[i-1] == aside && warning.match(t.low[i-1]) && t.indent[i] > t.indent[i-1] {
			t.strength[i] = aside
		}
	}
	return t
}

// after counts the lines of weight behind one.
func (t *texts) after(at int) int {
	if t.behind == nil {
		t.behind = make([]int, len(t.text)+1)
		for i := len(t.text) - 1; i >= 0; i-- {
			t.behind[i] = t.behind[i+1]
			if t.strength[i] > consequence && !t.inTrace[i] {
				t.behind[i]++
			}
		}
	}
	return t.behind[at+1]
}

// withoutGutter replaces what Python draws at the left of a group of exceptions by blanks, so
// that the indentation is that of the traceback in it.
func withoutGutter(s string) string {
	trimmed := strings.TrimLeft(s, " ")
	if at := len(s) - len(trimmed); at >= 2 && len(trimmed) > 1 && (trimmed[0] == '|' || trimmed[0] == '+') && trimmed[1] == ' ' {
		return s[:at] + "  " + strings.TrimPrefix(trimmed, trimmed[:2])
	}
	return s
}
