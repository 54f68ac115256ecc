package ending

import (
	"strings"
)

// traceKinds find a trace that begins at a line: the line that states its error, or -1 for one
// that states none, and the line behind it.
var traceKinds = []func(t *texts, at int) (statement, end int, ok bool){
	pythonTrace, stackFrames, goPanic, rustPanic, causeList, cppTerminate, rubyTrace, headedTrace, nodeThrow, pytestSummary, pytestLine, gradleReport, npmReport, messageBelow, jestTest, sanitizerReport, tapTest, goTest,
}

// traces returns the lines that state the errors of traces, in order, and notes which lines the
// traces take.
func (t *texts) traces() []int {
	var out []int
	for i := 0; i < len(t.text); {
		end := i + 1
		for _, kind := range traceKinds {
			statement, behind, ok := kind(t, i)
			if !ok {
				continue
			}
			if statement >= 0 {
				out = append(out, statement)
			}
			for end = behind; i < end; i++ {
				t.inTrace[i] = true
			}
			break
		}
		i = end
	}
	return out
}

// while returns the first line from at on that does not match.
func (t *texts) while(at int, match func(i int) bool) int {
	for at < len(t.text) && match(at) {
		at++
	}
	return at
}

const tracebackHead = "traceback (most recent call last):"

var (
	directCause   = "the above exception was the direct cause of the following exception:"
	otherHandled  = "during handling of the above exception, another exception occurred:"
	bareException = newPattern(`^[\w.]+:$`)
)

// pythonTrace is a traceback of Python, or of Ruby 2 in the same form. Of tracebacks that are
// chained by "raise … from" the first states the innermost cause; one that was raised while another
// exception was handled is on its own.
func pythonTrace(t *texts, at int) (statement, end int, ok bool) {
	head := strings.Index(t.low[at], tracebackHead)
	if head < 0 {
		return 0, 0, false
	}
	indent, indentOf := t.indent[at], func(i int) int { return t.indent[i] }
	if head > 0 && !strings.HasPrefix(t.low[at], "exception group ") {
		indent = 0 // a progress bar is in front
		if prefix, _, found := strings.Cut(t.text[at], "Traceback ("); found && at+1 < len(t.text) && strings.HasPrefix(t.text[at+1], prefix) {
			indentOf = func(i int) int { // of what is behind the prefix that a program gave each line
				rest, has := strings.CutPrefix(t.text[i], prefix)
				if !has {
					return 0
				}
				return len(rest) - len(strings.TrimLeft(rest, " "))
			}
		}
	}
	statement = t.while(at+1, func(i int) bool { return indentOf(i) > indent })
	if statement >= len(t.text) {
		return 0, 0, false
	}
	if bareException.match(t.low[statement]) && statement+1 < len(t.text) && !strings.HasPrefix(t.low[statement+1], `"""`) {
		statement++
	}
	if inner, behind, found := firstOfGroup(t, statement); found {
		return inner, behind, true
	}
	end = statement + 1
	const longestMessage = 200
	for i := end; i+1 < len(t.text) && i < end+longestMessage && !strings.Contains(t.low[i], tracebackHead); i++ {
		if t.low[i] != directCause && t.low[i] != otherHandled {
			continue
		}
		outer, behind, found := pythonTrace(t, i+1)
		if !found {
			break
		}
		if t.low[i] == otherHandled {
			statement = outer
		}
		return statement, behind, true
	}
	if at > 0 && strings.HasPrefix(t.low[at-1], "exception ignored in") {
		statement = -1
	}
	return statement, end, true
}

var exceptionGroup = newPattern(`\(\d+ sub-exceptions?\)$`)

// firstOfGroup is the first exception of the group that a line states.
func firstOfGroup(t *texts, group int) (statement, end int, ok bool) {
	if group+2 >= len(t.text) || !exceptionGroup.match(t.low[group]) || !strings.HasPrefix(t.low[group+1], "+-+-") {
		return 0, 0, false
	}
	if statement, end, ok = pythonTrace(t, group+2); !ok {
		statement, end = group+2, group+3
	}
	indent := t.indent[group]
	return statement, t.while(end, func(i int) bool { return t.indent[i] > indent }), true
}

var (
	frame         = newPattern(`^\s+at \S|^\s+\.\.\. \d+ (more|common frames omitted)|^\s+--- end of|^\s+--- End of|^--- End of stack trace`)
	exceptionHead = newPattern(`(error|exception|throwable|failure|panic|caused by|uncaught|\[cause\])`)
	furtherCause  = newPattern(`^(caused by|suppressed|wrapped by): `)
	nodeCause     = newPattern(`^\[cause\]: `)
)

// stackFrames is a trace of Java, .NET or JavaScript: a line that heads it, frames ("at …"), and the
// causes behind them, of which the last one is the innermost.
func stackFrames(t *texts, at int) (statement, end int, ok bool) {
	isFrame := func(i int) bool { return frame.match(t.text[i]) }
	if at == 0 || !isFrame(at) || t.inTrace[at-1] {
		return 0, 0, false
	}
	head := at - 1
	const longestMessage = 10
	for i := head; i >= max(0, head-longestMessage) && !t.inTrace[i]; i-- {
		if exceptionHead.match(t.low[i]) {
			head = i
			break
		}
	}
	statement = head
	end = t.while(at, isFrame)
	if first := t.firstOfErrors(at); first >= 0 {
		statement = first
	}
	for end < len(t.text) {
		next := end
		switch low := t.low[end]; {
		case furtherCause.match(low):
			if low[0] == 'c' && t.indent[end] <= t.indent[head] {
				statement = end
			}
			next = end + 1
			message := t.while(next, func(i int) bool { return i <= end+longestMessage && !isFrame(i) && !furtherCause.match(t.low[i]) })
			if message < len(t.text) && isFrame(message) {
				next = message
			}
			next = t.while(next, isFrame)
		case strings.HasSuffix(t.low[end-1], "{"):
			statement, next = nodeProperties(t, end, t.indent[head], statement)
		}
		if next == end {
			break
		}
		end = next
	}
	if statement == head && (t.strength[head] == aside || numbered.match(t.low[head])) { // a warning, the source with a caret, a frame of Rust
		statement = -1
	}
	return statement, end, true
}

// firstOfErrors is the first of the errors that Node lists in one without frames of its own, above
// the frames that begin at a line; -1 when there is no such list.
func (t *texts) firstOfErrors(at int) int {
	const longestMessage = 10
	for i := at - 1; i > 0 && i >= at-longestMessage; i-- {
		if strings.HasPrefix(t.low[i], "[errors]: [") {
			return i + 1
		}
	}
	return -1
}

// nodeProperties reads what Node prints of an error behind its frames, up to the closing brace, for
// the innermost cause in it.
func nodeProperties(t *texts, at, indent, statement int) (cause, end int) {
	for end = at; end < len(t.text) && (t.indent[end] > indent || strings.HasPrefix(t.low[end], "}")); end++ {
		switch {
		case nodeCause.match(t.low[end]):
			statement = end
		case strings.HasPrefix(t.low[end], "[errors]: [") && end+1 < len(t.text):
			statement = end + 1
		case t.indent[end] <= indent:
			return statement, end + 1
		}
	}
	return statement, end
}

var (
	goroutine = newPattern(`^(goroutine \d+|\[signal )`)
	goFrame   = newPattern(`^(goroutine \d+|\[signal |created by |\S+\(.*\)$|\t|runtime\b|exit status \d|[a-z]\w* +0x)`)
)

// goPanic is a panic of Go with its goroutines. The first one is the cause of those that followed it.
func goPanic(t *texts, at int) (statement, end int, ok bool) {
	if !strings.HasPrefix(t.text[at], "panic: ") && !strings.HasPrefix(t.text[at], "fatal error: ") {
		return 0, 0, false
	}
	const longestMessage = 20
	first := t.while(at+1, func(i int) bool { return i <= at+longestMessage && !goroutine.match(t.text[i]) })
	if first >= len(t.text) || !goroutine.match(t.text[first]) {
		return 0, 0, false
	}
	return at, t.while(first, func(i int) bool { return goFrame.match(t.text[i]) }), true
}

var (
	rustHead  = newPattern(`^thread '.*' (\(\d+\) )?panicked at `)
	rustFrame = newPattern(`^(note: |stack backtrace:)|^\s+(\d+: |at )`)
)

// rustPanic is a panic of Rust, which states its message in a line of its own since version 1.73.
func rustPanic(t *texts, at int) (statement, end int, ok bool) {
	if !rustHead.match(t.text[at]) {
		return 0, 0, false
	}
	statement = at
	if strings.HasSuffix(t.text[at], ":") && at+1 < len(t.text) {
		statement++
	}
	const longestMessage = 10
	message := t.while(statement+1, func(i int) bool { return i < statement+longestMessage && !rustFrame.match(t.text[i]) })
	if message == len(t.text) || !rustFrame.match(t.text[message]) {
		message = statement + 1
	}
	return statement, t.while(message, func(i int) bool { return rustFrame.match(t.text[i]) }), true
}

var numbered = newPattern(`^\d+: `)

// causeList is a list of causes below an error, as Rust's libraries print it, the innermost last.
func causeList(t *texts, at int) (statement, end int, ok bool) {
	if t.low[at] != "caused by:" && (t.low[at] != "error:" || at+1 == len(t.text) || !numbered.match(t.low[at+1])) {
		return 0, 0, false
	}
	end = t.while(at+1, func(i int) bool { return t.indent[i] > t.indent[at] })
	if end == at+1 {
		return 0, 0, false
	}
	statement = at + 1
	for i := at + 1; i < end; i++ {
		if numbered.match(t.low[i]) {
			statement = i
		}
	}
	return statement, end, true
}

// cppTerminate is the end of a C++ program by an exception.
func cppTerminate(t *texts, at int) (statement, end int, ok bool) {
	if !strings.HasPrefix(t.low[at], "terminate called ") {
		return 0, 0, false
	}
	if at+1 < len(t.text) && strings.HasPrefix(t.low[at+1], "what():") {
		return at + 1, at + 2, true
	}
	return at, at + 1, true
}

var (
	rubyFrame = newPattern(`^\s+from .+:\d+(:in .*)?$`)
	rubyHead  = newPattern(`^\S+:\d+:in `)
)

// rubyTrace is a trace of Ruby. It prints the cause behind what it caused.
func rubyTrace(t *texts, at int) (statement, end int, ok bool) {
	isFrame := func(i int) bool { return i < len(t.text) && rubyFrame.match(t.text[i]) }
	if at == 0 || !isFrame(at) || t.inTrace[at-1] {
		return 0, 0, false
	}
	statement, end = at-1, t.while(at, isFrame)
	if source := statement; carets.match(t.low[source]) { // the source is below the error
		for i := source - 1; i >= max(0, source-3); i-- {
			if rubyHead.match(t.text[i]) {
				statement = i
				break
			}
		}
	}
	for isFrame(end + 1) {
		statement, end = end, t.while(end+1, isFrame)
	}
	return statement, end, true
}

var (
	traceTitle  = newPattern(`^(stack ?trace:|stack traceback:|callstack \(from .*\):)$`)
	titledFrame = newPattern(`^(#\d+ |\s|Next |thrown in)`)
)

// headedTrace is a trace of PHP, Lua or Haskell: a title below the line that states the error.
func headedTrace(t *texts, at int) (statement, end int, ok bool) {
	if at == 0 || !traceTitle.match(t.low[at]) {
		return 0, 0, false
	}
	return at - 1, t.while(at+1, func(i int) bool { return titledFrame.match(t.text[i]) || traceTitle.match(t.low[i]) }), true
}

var (
	placeInFile = newPattern(`^\S+:\d+$`)
	carets      = newPattern(`^\^+$`)
)

// nodeThrow is what Node prints of a value that was thrown and is no Error: the place, the source,
// a caret, and the value.
func nodeThrow(t *texts, at int) (statement, end int, ok bool) {
	if at < 2 || at+1 >= len(t.text) || !carets.match(t.low[at]) || !placeInFile.match(t.text[at-2]) {
		return 0, 0, false
	}
	const longestMessage = 10
	for i := at + 1; i < min(at+longestMessage, len(t.text)); i++ {
		if frame.match(t.text[i]) {
			return 0, 0, false // an Error with its frames
		}
	}
	return at + 1, at + 2, true
}
