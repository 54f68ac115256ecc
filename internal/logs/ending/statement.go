package ending

import (
	"slices"
	"strings"

	"stint.dev/stint/job"
)

// Strength is the certainty with which a line states the error.
type Strength int

// The strengths in ascending order. A line about something else or about a consequence of the error is selected only
// if no other line does.
const (
	aside       Strength = iota
	consequence          // "make: *** [all] Error 1"
	Guessed              // the last line of stderr
	Likely               // mentions a failure
	Stated               // says that it is an error
	diagnostic           // compiler error with a position
	Traced               // first or last line of a stack trace
)

// worth is the weight of a line by its strength. It is reduced by worthOfLine for each line that follows: an error
// before many other lines was probably handled.
var worth = map[Strength]float64{consequence: 5, Guessed: 20, Likely: 30, Stated: 60, diagnostic: 65, Traced: 100}

const (
	worthOfLine   = 0.5
	stdoutPenalty = 20 // errors are printed on stderr; on stdout they are often reports
)

// candidate is a line that may state the error.
type candidate struct {
	at       int // index in the lines of its stream
	strength Strength
	worth    float64
}

// ErrorLine returns the line that states the error among the last lines of a step, which are in
// order: the last line of a traceback, the innermost cause of a chain, the first error of a
// compiler, and no hint or consequence after them. It returns false if no line states one: a line of stdout
// that does not mention an error is ordinary output.
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

// gutters are characters that programs print at the left of their errors.
const gutters = "│┃║╷╵╭╰─▶|> \t"

// bestOf returns the best candidate among the lines of one stream, or an aside if there is none.
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
			consider(t, t, Stated, worth[Likely]+5) // the program that it ran printed more, maybe on stdout
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

// continues reports whether a line continues the statement of the line above it.
func (t *texts) continues(i int) bool {
	return i > 0 && t.indent[i] > t.indent[i-1] && t.strength[i-1] >= max(t.strength[i], Likely) && t.strength[i-1] != diagnostic
}

// leadsTo reports whether the next line that is not an aside has the strength s.
func (t *texts) leadsTo(i int, s Strength) bool {
	next := t.while(i+1, func(i int) bool { return t.strength[i] == aside })
	return next < len(t.strength) && t.strength[next] == s && !t.inTrace[next]
}

// groupEnd returns the last of the compiler errors that begin at a line: fewer than groupGap
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

// texts are the lines of one stream, prepared for matching.
type texts struct {
	text     []string // with blanks instead of the gutters of exception groups
	low      []string // trimmed, lower-case, bounded in length
	indent   []int
	strength []Strength
	inTrace  []bool // the line is part of a trace that another line states
	behind   []int  // number of significant lines that follow
}

func newTexts(lines []Line) *texts {
	n := len(lines)
	t := &texts{text: make([]string, n), low: make([]string, n), indent: make([]int, n), strength: make([]Strength, n), inTrace: make([]bool, n)}
	left := maxMatched
	for i, l := range slices.Backward(lines) {
		text := shorten(l.Text, min(matchedLength, max(left, leastMatched)))
		left -= len(text)
		t.text[i] = withoutGutter(withoutStamp(text))
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

// after returns the number of significant lines that follow a line.
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

// withoutGutter replaces the characters that Python prints at the left of an exception group by blanks, so
// that the indentation is that of the traceback in it.
func withoutGutter(s string) string {
	trimmed := strings.TrimLeft(s, " ")
	if at := len(s) - len(trimmed); at >= 2 && len(trimmed) > 1 && (trimmed[0] == '|' || trimmed[0] == '+') && trimmed[1] == ' ' {
		return s[:at] + "  " + strings.TrimPrefix(trimmed, trimmed[:2])
	}
	return s
}
