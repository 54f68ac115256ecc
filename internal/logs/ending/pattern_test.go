package ending

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// A pattern matches the same texts as its regular expression: every match contains one of its literals.
func TestPatternsMatchAsTheirExpressions(t *testing.T) {
	all := slices.Concat(asides, progress, consequences, diagnostics, noErrors, errorForms, barsBefore, signs{
		warning, lowLevel, xtrace, errorWords, perlError, shellError, weakWords, frame, traceTitle, summaryTitle,
		npmLine, errorAbove, rubyFrame, pytestError, carets, rustHead, exceptionHead, bareException, exceptionGroup,
		nodeCause, goroutine, goFrame, rustFrame, numbered, titledFrame, placeInFile, failedTest, npmScript, sanitizerHead, sanitizerEnd, tapFailed, tapAllowed,
		levelField, goTestFailed, goTestLine, goTestOther, goTestSays, goTestError, furtherCause, rubyHead,
		bareHead, juliaHead, matlabAbove,
	})
	files, err := filepath.Glob("testdata/failures/*/std*")
	if err != nil || len(files) < 80 {
		t.Fatal(files, err)
	}
	lines := map[string]bool{}
	for _, file := range append(files, "statement_test.go") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		const most = 20 // of a recording
		for i, line := range strings.Split(strings.ReplaceAll(string(text), `\n`, "\n"), "\n") {
			if len(line) < 200 && (i < most || file == "statement_test.go") {
				lines[line], lines[strings.ToLower(strings.TrimSpace(line))] = true, true
			}
		}
	}
	matches := 0
	for line := range lines {
		for _, p := range all {
			want := p.regexp().MatchString(line)
			if p.match(line) != want {
				t.Fatalf("%q with literals %q: %t for %q, want %t", p.text, p.literals, !want, line, want)
			}
			if want {
				matches++
			}
		}
	}
	if matches < 500 {
		t.Errorf("only %d matches", matches)
	}
	for expression, want := range map[string][]string{
		`^a(b|cd)e+xyz?`: {"xy"}, `(fail|error)s?: x`: {"fail", "error"}, `a*b?`: nil, `(?i)abc`: nil, `\d+`: nil, `[^a]b?`: nil, `[x-z]{2,}`: {"x", "y", "z"}, `long text|x?`: nil,
	} {
		p := newPattern(expression)
		p.regexp()
		if got := p.literals; !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", expression, got, want)
		}
	}
}
