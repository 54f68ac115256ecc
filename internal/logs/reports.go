package logs

import "strings"

// Reports of tests, builds and package managers, of which one line states the error.

var (
	summaryTitle = newPattern(`^=+ short test summary info =+$`)
	failedTest   = newPattern(`^(FAILED|ERROR) `)
	pytestError  = newPattern(`^E {2,}\S`)
)

// pytestSummary is the list of failed tests at the end of pytest. Where the terminal was too narrow
// for their errors, the errors themselves are in front of it.
func pytestSummary(t *texts, at int) (statement, end int, ok bool) {
	if !summaryTitle.match(t.low[at]) {
		return 0, 0, false
	}
	end = t.while(at+1, func(i int) bool { return failedTest.match(t.text[i]) })
	if end == at+1 {
		return 0, 0, false
	}
	if first := t.low[at+1]; strings.Contains(first, " - ") && !strings.HasSuffix(first, "...") {
		return at + 1, end, true
	}
	for i := range at {
		if pytestError.match(t.text[i]) {
			return i, end, true
		}
	}
	return at + 1, end, true
}

// pytestLine is the error of one test.
func pytestLine(t *texts, at int) (statement, end int, ok bool) {
	if !pytestError.match(t.text[at]) {
		return 0, 0, false
	}
	return at, t.while(at, func(i int) bool { return strings.HasPrefix(t.text[i], "E  ") }), true
}

// gradleReport is what Gradle says went wrong, the innermost last.
func gradleReport(t *texts, at int) (statement, end int, ok bool) {
	if t.low[at] != "* what went wrong:" {
		return 0, 0, false
	}
	end = t.while(at+1, func(i int) bool { return !strings.HasPrefix(t.low[i], "* ") })
	if end == at+1 {
		return 0, 0, false
	}
	statement = at + 1
	for i := at + 1; i < end; i++ {
		if strings.HasPrefix(strings.TrimSpace(t.text[i]), "> ") {
			statement = i
		}
	}
	return statement, end, true
}

var (
	npmLine   = newPattern(`^npm (err!|error)( |$)`)
	npmScript = newPattern(`^npm (err!|error) (code elifecycle|lifecycle script|error: command failed)`)
)

// npmReport is what npm says when it fails itself: the error comes first, after a code. Of a script
// that failed, the script says more.
func npmReport(t *texts, at int) (statement, end int, ok bool) {
	isLine := func(i int) bool { return npmLine.match(t.low[i]) }
	if !isLine(at) {
		return 0, 0, false
	}
	end = t.while(at, isLine)
	statement = t.while(at, func(i int) bool { return i < end && t.strength[i] <= consequence })
	script := t.while(at, func(i int) bool { return i < end && !npmScript.match(t.low[i]) })
	if statement == end || script < end {
		return -1, end, true
	}
	return statement, end, true
}

var errorAbove = newPattern(`^(error in .* :|cmake error at .*:)$`)

// messageBelow is an error of R or CMake that has its message on the next line.
func messageBelow(t *texts, at int) (statement, end int, ok bool) {
	if !errorAbove.match(t.low[at]) || at+1 >= len(t.text) || t.indent[at+1] <= t.indent[at] {
		return 0, 0, false
	}
	return at + 1, at + 2, true
}

// jestTest is a test that failed in Jest: its name, and below it the error.
func jestTest(t *texts, at int) (statement, end int, ok bool) {
	if !strings.HasPrefix(t.low[at], "● ") || t.low[at] == "● console" || at+1 >= len(t.text) || t.indent[at+1] <= t.indent[at] {
		return 0, 0, false
	}
	return at + 1, at + 2, true
}

var (
	sanitizerHead = newPattern(`^==\d+==error: `)
	sanitizerEnd  = newPattern(`^==\d+==aborting`)
)

// sanitizerReport is a report of a sanitizer of GCC or Clang.
func sanitizerReport(t *texts, at int) (statement, end int, ok bool) {
	if !sanitizerHead.match(t.low[at]) {
		return 0, 0, false
	}
	end = t.while(at+1, func(i int) bool { return !sanitizerEnd.match(t.low[i]) })
	return at, min(end+1, len(t.text)), true
}

var (
	tapFailed  = newPattern(`^\s*not ok \d+`)
	tapAllowed = newPattern(`# (todo|skip)\b`)
)

// tapTest is a test that failed in the Test Anything Protocol, with its details.
func tapTest(t *texts, at int) (statement, end int, ok bool) {
	if !tapFailed.match(t.text[at]) || tapAllowed.match(t.low[at]) {
		return 0, 0, false
	}
	return at, t.while(at+1, func(i int) bool { return t.indent[i] > t.indent[at] }), true
}
