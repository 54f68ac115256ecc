package ending

import (
	"strings"
	"testing"

	"stint.dev/stint/job"
)

// The patterns match a bounded part of the output, however long its lines are: a job that prints long lines
// that resemble errors must not delay the diagnoses of others.
func TestMatchedTextIsBounded(t *testing.T) {
	line := strings.Repeat("no a errorx ", matchedLength/12)
	var own []Line
	for i := range maxLines {
		own = append(own, Line{Stream: job.Stderr, Number: int64(i + 1), Text: line})
	}
	matched := 0
	for _, text := range newTexts(own).low {
		matched += len(text)
	}
	if most := maxMatched + maxLines*leastMatched + matchedLength; matched > most {
		t.Errorf("%d characters of %d are matched, want at most %d", matched, maxLines*len(line), most)
	}

	bars := strings.Repeat("\r"+line, maxLineParts) + "\r 10%|#         | 1/10 [00:00<00:00]"
	left := maxMatched
	for range maxLines {
		show([]byte(bars), &left)
	}
	if left > 0 || left < -matchedLength*maxLines {
		t.Errorf("%d characters are left", left)
	}
	before := left
	if got := show([]byte("error: row 7"+bars), &left); strings.Contains(got, "errorx") || before-left > matchedLength {
		t.Errorf("after %d characters %d more were searched for %q", maxMatched-before, before-left, got)
	}

	// An error at the end of such lines is found, and so is one at the beginning of a line among them.
	own = append(own, Line{Stream: job.Stderr, Number: maxLines + 1, Text: "gzip: stdout: No space left on device"})
	if got, _, _ := ErrorLine(own); got.Number != maxLines+1 {
		t.Errorf("line %d states the error, want %d", got.Number, maxLines+1)
	}
}
