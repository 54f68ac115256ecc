package ending

import "strings"

// Reports of tests, builds and package managers, of which one line states the error.

var (
	summaryTitle = newPattern(`^=+ short test summary info =+$`)
	failedTest   = newPattern(`^(FAILED|ERROR) `)
	pytestError  = newPattern(`^E {2,}\S`)
)

// pytestSummary finds the list of failed tests at the end of pytest's output. If the terminal was too narrow
// for the errors, they precede the list.
func pytestSummary(t *texts, at int) (statement, end int, ok bool) {
	if !summaryTitle.match(t.low[at]) {
		return 0, 0, false
	}
	end = t.while(at+1, func(i int) bool { return failedTest.match(t.text[i]) })
	if end == at+1 {
		return 0, 0, false
	}
	cause := t.while(0, func(i int) bool { return t.low[i] != directCause }) // the cause of this test or of another one
	if first := t.low[at+1]; cause > at && strings.Contains(first, " - ") && !strings.HasSuffix(first, "...") {
		return at + 1, end, true
	}
	if i := t.while(0, func(i int) bool { return !pytestError.match(t.text[i]) }); i < at {
		return i, end, true
	}
	return at + 1, end, true
}

// pytestLine finds the error of one test. The first of several errors that are chained by "raise … from" is
// the innermost cause, as in a traceback.
func pytestLine(t *texts, at int) (statement, end int, ok bool) {
	if !pytestError.match(t.text[at]) {
		return 0, 0, false
	}
	statement = at
	for {
		end = t.while(at, func(i int) bool { return strings.HasPrefix(t.text[i], "E  ") })
		next := t.while(end, func(i int) bool {
			return t.low[i] != directCause && t.low[i] != otherHandled && !pytestError.match(t.text[i])
		})
		outer := t.while(next, func(i int) bool { return !pytestError.match(t.text[i]) })
		if outer == len(t.text) || next == outer {
			return statement, end, true
		}
		if t.low[next] == otherHandled {
			statement = outer
		}
		at = outer
	}
}

// gradleReport finds the causes that Gradle reports, the innermost last.
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

// npmReport finds an error of npm itself: the error follows a code. If a script
// failed, the output of the script says more.
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

var (
	errorAbove  = newPattern(`^(error in .* :|cmake error at .*:|(\d\d:\d\d:\d\d +)?(database|compilation|runtime|parsing) error in .*\))$`)
	matlabAbove = newPattern(`^error using \S+( \(line \d+\))?$`)
)

// messageBelow finds an error of R, CMake, dbt or MATLAB whose message is on the next line.
func messageBelow(t *texts, at int) (statement, end int, ok bool) {
	if at+1 >= len(t.text) || !matlabAbove.match(t.low[at]) && (!errorAbove.match(t.low[at]) || t.indent[at+1] <= t.indent[at]) {
		return 0, 0, false
	}
	return at + 1, at + 2, true
}

// jestTest finds a failed test of Jest: its name, and the error below it.
func jestTest(t *texts, at int) (statement, end int, ok bool) {
	if !strings.HasPrefix(t.low[at], "● ") || t.low[at] == "● console" || at+1 >= len(t.text) || t.indent[at+1] <= t.indent[at] {
		return 0, 0, false
	}
	return at + 1, at + 2, true
}

var (
	sanitizerHead = newPattern(`^(==\d+==(error|warning): |warning: (data race$|threadsanitizer: ))`)
	sanitizerEnd  = newPattern(`^(==\d+==(aborting|exiting)|={10,})`)
)

// sanitizerReport finds a report of a sanitizer of GCC or Clang, or of Go's race detector.
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

// tapTest finds a failed test in the Test Anything Protocol, with its details.
func tapTest(t *texts, at int) (statement, end int, ok bool) {
	if !tapFailed.match(t.text[at]) || tapAllowed.match(t.low[at]) {
		return 0, 0, false
	}
	return at, t.while(at+1, func(i int) bool { return t.indent[i] > t.indent[at] }), true
}

var (
	goTestFailed = newPattern(`^\s*--- FAIL: `)
	goTestLine   = newPattern(`^\s+\S+\.go:\d+: `)
	goTestOther  = newPattern(`^\s*(=== |--- )`)
	goTestSays   = newPattern(`\b(got|want|expected|error|fail(ed|s)?)\b`)
	goTestError  = newPattern(`^error:\s+\S`)
)

// goTest finds a failed test of Go with its log: below its name, or above it if it was
// logged immediately. If subtests failed, the first subtest says more. Failures and
// other log lines have the same form: the last line is used if none mentions a failure.
func goTest(t *texts, at int) (statement, end int, ok bool) {
	if !goTestFailed.match(t.text[at]) {
		return 0, 0, false
	}
	end = t.while(at+1, func(i int) bool { return t.indent[i] > t.indent[at] })
	part := at
	for i := at + 1; i < end && (!goTestFailed.match(t.text[i]) || t.indent[i] > t.indent[part]); i++ {
		if goTestFailed.match(t.text[i]) {
			part = i
		}
	}
	statement = t.goTestStatement(part+1, t.while(part+1, func(i int) bool { return i < end && !goTestOther.match(t.text[i]) }))
	if statement < 0 {
		from := at
		for from > 0 && !goTestOther.match(t.text[from-1]) {
			from--
		}
		statement = t.goTestStatement(from, at)
	}
	return statement, end, statement >= 0
}

// goTestStatement returns the line in a range that states why a test failed, or -1 if there is none.
func (t *texts) goTestStatement(from, to int) int {
	statement := -1
	for i := from; i < to; i++ {
		if !goTestLine.match(t.text[i]) {
			continue
		}
		statement = i
		if strings.HasSuffix(t.low[i], ":") { // the message is below
			is := t.while(i+1, func(i int) bool { return i < to && !goTestError.match(t.low[i]) })
			if is < to {
				return is
			}
		}
		if goTestSays.match(t.low[i]) {
			return i
		}
	}
	return statement
}

// dotnetTest finds a failed test of .NET: a title, the message, and the frames below another title.
func dotnetTest(t *texts, at int) (statement, end int, ok bool) {
	if t.low[at] != "error message:" || at+1 >= len(t.text) || t.indent[at+1] <= t.indent[at] {
		return 0, 0, false
	}
	const longestMessage = 30
	title := t.while(at+1, func(i int) bool { return i <= at+longestMessage && t.low[i] != "stack trace:" })
	if title == len(t.text) || t.low[title] != "stack trace:" {
		return at + 1, at + 2, true
	}
	return at + 1, t.while(title+1, func(i int) bool { return frame.match(t.text[i]) }), true
}

// springReport finds the report of Spring Boot about an application that did not start.
func springReport(t *texts, at int) (statement, end int, ok bool) {
	if t.low[at] != "application failed to start" {
		return 0, 0, false
	}
	const distance = 3
	title := t.while(at+1, func(i int) bool { return i <= at+distance && t.low[i] != "description:" })
	if title+1 >= len(t.text) || t.low[title] != "description:" {
		return 0, 0, false
	}
	return title + 1, t.while(title+1, func(i int) bool { return t.low[i] != "action:" }), true
}
