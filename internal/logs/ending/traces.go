package ending

import (
	"strings"
)

// traceKinds find a trace that begins at a line. They return the line that states its error, or -1 if
// none does, and the line after the trace.
var traceKinds = []func(t *texts, at int) (statement, end int, ok bool){
	pythonTrace, stackFrames, goPanic, rustPanic, causeList, cppTerminate, rubyTrace, headedTrace, nodeThrow, pytestSummary, pytestLine, gradleReport, npmReport, messageBelow, jestTest, sanitizerReport, tapTest, goTest,
	dotnetTest, springReport,
}

// traces returns the lines that state the errors of traces, in order. It sets inTrace for the lines of the
// traces.
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

// while returns the first line from at that does not match.
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

// pythonTrace finds a traceback of Python, or of Ruby 2 in the same format. If tracebacks are
// chained by "raise … from", the first states the innermost cause; one that was raised while another
// exception was handled is separate.
func pythonTrace(t *texts, at int) (statement, end int, ok bool) {
	head := strings.Index(t.low[at], tracebackHead)
	if head < 0 {
		return 0, 0, false
	}
	indent, indentOf := t.indent[at], func(i int) int { return t.indent[i] }
	if head > 0 && !strings.HasPrefix(t.low[at], "exception group ") {
		indent = 0 // a progress bar precedes it
		if prefix, _, found := strings.Cut(t.text[at], "Traceback ("); found && at+1 < len(t.text) && strings.HasPrefix(t.text[at+1], prefix) {
			indentOf = func(i int) int { // indentation after the prefix that a program added to each line
				rest, has := strings.CutPrefix(t.text[i], prefix)
				if !has {
					return 0
				}
				return len(rest) - len(strings.TrimLeft(rest, " "))
			}
		}
	}
	// Loguru marks the frame that caught the exception at the left.
	statement = t.while(at+1, func(i int) bool { return indentOf(i) > indent || strings.HasPrefix(t.text[i], `> File "`) })
	if statement >= len(t.text) {
		return 0, 0, false
	}
	for statement+1 < len(t.text) && strings.HasPrefix(t.low[statement+1], `file "`) && indentOf(statement+1) > indent {
		// An exception of another process, with the frames of that process.
		inner := t.while(statement+1, func(i int) bool { return indentOf(i) > indent })
		if inner == len(t.text) {
			break
		}
		statement = inner
	}
	if bareException.match(t.low[statement]) && statement+1 < len(t.text) && !strings.HasPrefix(t.low[statement+1], `"""`) && t.strength[statement+1] != aside {
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

// firstOfGroup returns the first exception of the exception group at a line.
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
	bareHead      = newPattern(`^([\w.\\]*exception|error [a-z ]*:)$`) // the message is on the next line
	furtherCause  = newPattern(`^(caused by|suppressed|wrapped by): `)
	nodeCause     = newPattern(`^\[cause\]: `)
)

// stackFrames finds a trace of Java, .NET or JavaScript: a line that heads it, frames ("at …"), and the
// causes after them, of which the last one is the innermost.
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
	if bareHead.match(t.low[head]) && head+1 < at {
		statement++
	}
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

// firstOfErrors returns the first of the errors that Node lists in an error without frames, above
// the frames that begin at a line, or -1 if there is no such list.
func (t *texts) firstOfErrors(at int) int {
	const longestMessage = 10
	for i := at - 1; i > 0 && i >= at-longestMessage; i-- {
		if strings.HasPrefix(t.low[i], "[errors]: [") {
			return i + 1
		}
	}
	return -1
}

// nodeProperties reads the properties that Node prints after the frames of an error, up to the closing brace, for
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

// goPanic finds a panic of Go with its goroutines. The first panic is the cause of those that follow it.
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

// rustPanic finds a panic of Rust. Its message is on a separate line since version 1.73.
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

// causeList finds a list of causes below an error, in the format of Rust's libraries, the innermost last.
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

// cppTerminate finds the end of a C++ program by an exception.
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

// rubyTrace finds a trace of Ruby, in which the cause follows its effect.
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
	traceTitle  = newPattern(`^(stack ?trace:|stack traceback:|callstack \(from .*\):|while executing)$`)
	titledFrame = newPattern(`^(#\d+ |\s|Next |thrown in|")`)
	juliaHead   = newPattern(`^(error|caused by|nested task error): `)
)

// headedTrace finds a trace of PHP, Lua, Haskell, Tcl or Julia: a title below the line that states the error.
// In Julia a message of several lines may be between them.
func headedTrace(t *texts, at int) (statement, end int, ok bool) {
	if at == 0 || !traceTitle.match(t.low[at]) {
		return 0, 0, false
	}
	const longestMessage = 40
	if statement = at - 1; t.low[at] == "stacktrace:" && t.indent[at] > 0 {
		statement = -1 // of a test of Elixir, below the values that differ
	}
	for i := at - 1; t.low[at] == "stacktrace:" && i >= max(0, at-longestMessage) && !t.inTrace[i]; i-- {
		if juliaHead.match(t.low[i]) {
			statement = i
			break
		}
	}
	return statement, t.while(at+1, func(i int) bool { return titledFrame.match(t.text[i]) || traceTitle.match(t.low[i]) }), true
}

var (
	placeInFile = newPattern(`^\S+:\d+$`)
	carets      = newPattern(`^\^+$`)
)

// nodeThrow finds the output of Node for a thrown value that is not an Error: the position, the source,
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
