package redact

import (
	"encoding/base64"
	"net/url"
	"slices"
	"strings"
)

// mostEncoded bounds the values of which encoded forms are looked for: nobody prints a
// long key in a URL, and each form costs memory.
const mostEncoded = 4096

// How a value stands inside a string of JSON and of most languages, and inside the single
// quotes of a shell.
var (
	escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	quoted  = strings.NewReplacer(`'`, `'\''`)
)

// Forms are what is masked of a value: the value; of one with several lines each line for
// itself, for they are printed with other things between them; and each of these as it
// stands in a URL, in JSON, in a shell's quotes and in base64. Nothing shorter than MinLength is masked: a value
// of short lines only as a whole, and a short one not at all.
func Forms(value string) []string {
	value = strings.TrimSpace(value)
	if len(value) < MinLength {
		return nil
	}
	plain := []string{value}
	if lines := strings.FieldsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' }); len(lines) > 1 {
		whole := plain
		plain = nil
		for _, line := range lines {
			if line = strings.TrimSpace(line); len(line) >= MinLength {
				plain = append(plain, line)
			} else if line != "" {
				plain = append(plain, whole...) // else this line would be shown
				whole = nil
			}
		}
	}
	var forms []string
	for _, v := range plain {
		forms = append(forms, v)
		if len(v) <= mostEncoded {
			forms = append(forms, url.QueryEscape(v), url.PathEscape(v), escaped.Replace(v), quoted.Replace(v))
			forms = append(forms, inBase64(v)...)
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

// inBase64 is a value in both alphabets: alone, and as the middle of something longer (the
// "user:password" of HTTP Basic), where it can begin at three places of a group of four.
// There the characters at its ends depend on its neighbours too and are left out.
func inBase64(v string) []string {
	var forms []string
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		forms = append(forms, enc.EncodeToString([]byte(v)))
		for before := range 3 {
			text := enc.EncodeToString(append(make([]byte, before), v...))
			from := (before*8 + 5) / 6      // the first character of v's bits alone
			to := (before + len(v)) * 8 / 6 // and behind the last one
			if to-from >= base64.RawStdEncoding.EncodedLen(MinLength)-2 {
				forms = append(forms, text[from:to])
			}
		}
	}
	return forms
}
