package redact

import (
	"encoding/base64"
	"strings"
)

// Parts returns what is masked of a value: the value; of one with several lines each line for
// itself, for they are printed with other things between them. Nothing shorter than
// MinLength is masked: a value of short lines only as a whole, and a short one not at all.
func Parts(value string) []string {
	value = strings.TrimSpace(value)
	if len(value) < MinLength {
		return nil
	}
	lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 1 {
		return []string{value}
	}
	var parts []string
	short := false
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(line) >= MinLength {
			parts = append(parts, line)
		} else if line != "" && !short {
			short = true
			parts = append(parts, value) // else this line would be shown
		}
	}
	return parts
}

// inBase64 returns the forms of a value in base64, in both alphabets: alone, and as the middle of something longer (the
// "user:password" of HTTP Basic), where it can begin at three places of a group of four.
// There the characters at its ends depend on its neighbours too and are left out.
func inBase64(v string) []string {
	if len(v) < MinLength {
		return nil
	}
	var forms []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, enc.EncodeToString([]byte(v)))
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), v...))
			from := (before*8 + 5) / 6      // the first character of v's bits alone
			to := (before + len(v)) * 8 / 6 // and behind the last one
			forms = append(forms, text[from:to])
		}
	}
	return forms
}
