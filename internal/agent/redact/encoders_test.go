package redact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
	"unicode/utf16"
)

// encodeURI escapes every byte that is not in keep, as encodeURIComponent, Python's quote and
// curl do with sets of their own.
func encodeURI(keep, digits string) func(string) string {
	return func(v string) string {
		var b strings.Builder
		for i := range len(v) {
			if isAlphanumeric(v[i]) || strings.IndexByte(keep, v[i]) >= 0 {
				b.WriteByte(v[i])
			} else {
				fmt.Fprintf(&b, digits, v[i])
			}
		}
		return b.String()
	}
}

func everyByte(v string) string {
	var b strings.Builder
	for i := range len(v) {
		fmt.Fprintf(&b, "%%%02X", v[i])
	}
	return b.String()
}

// asciiJSON is JSON with every character that is not ASCII escaped, as Python and PHP write it.
func asciiJSON(slash string) func(string) string {
	return func(v string) string {
		var b strings.Builder
		for _, r := range v {
			switch {
			case r == '/':
				b.WriteString(slash)
			case r == '"' || r == '\\':
				b.WriteString(`\` + string(r))
			case r == '\t':
				b.WriteString(`\t`)
			case r < ' ' || r > 126:
				for _, unit := range utf16.Encode([]rune{r}) {
					fmt.Fprintf(&b, `\u%04x`, unit)
				}
			default:
				b.WriteRune(r)
			}
		}
		return b.String()
	}
}

// goJSON is what encoding/json writes, with <, > and & escaped.
func goJSON(v string) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(text[1 : len(text)-1])
}

// wrapped is base64 in lines.
func wrapped(width int, end string) func(string) string {
	return func(v string) string {
		text := base64.StdEncoding.EncodeToString([]byte(v))
		var lines []string
		for len(text) > width {
			lines, text = append(lines, text[:width]), text[width:]
		}
		return strings.Join(append(lines, text), end)
	}
}

// printfQ escapes as bash does for printf %q.
func printfQ(v string) string {
	plain := true
	for i := range len(v) {
		plain = plain && v[i] >= ' ' && v[i] < 127
	}
	var b strings.Builder
	for i := range len(v) {
		switch {
		case !plain && v[i] == '\t':
			b.WriteString(`\t`)
		case !plain && (v[i] < ' ' || v[i] > 126):
			fmt.Fprintf(&b, `\%03o`, v[i])
		case !plain && (v[i] == '\'' || v[i] == '\\'), plain && v[i] != '-' && v[i] != '_' && v[i] != '.' && v[i] != '/' && !isAlphanumeric(v[i]):
			b.WriteString(`\` + string(v[i]))
		default:
			b.WriteByte(v[i])
		}
	}
	return b.String()
}

// The forms in which programs print a value, by several implementations of each encoding.
var encoders = map[string]func(string) string{
	"as it is":                func(v string) string { return v },
	"Go url.QueryEscape":      url.QueryEscape,
	"Go url.PathEscape":       url.PathEscape,
	"encodeURIComponent":      encodeURI("-_.!~*'()", "%%%02X"),
	"Python quote":            encodeURI("-_.~/", "%%%02X"),
	"lower case percent":      encodeURI("-_.~", "%%%02x"),
	"every byte percent":      everyByte,
	"Python json.dumps":       asciiJSON("/"),
	"PHP json_encode":         asciiJSON(`\/`),
	"Go json.Marshal":         goJSON,
	"base64":                  wrapped(1<<20, ""),
	"base64 of GNU":           wrapped(76, "\n"),
	"base64 of openssl, CRLF": wrapped(64, "\r\n"),
	"base64 in JSON":          wrapped(64, `\n`),
	"base64 in YAML":          wrapped(64, "\n    "),
	"base64url":               func(v string) string { return base64.RawURLEncoding.EncodeToString([]byte(v)) },
	"printf %q":               printfQ,
	"single quotes":           func(v string) string { return strings.ReplaceAll(v, `'`, `'\''`) },
	"Python shlex.quote":      func(v string) string { return strings.ReplaceAll(v, `'`, `'"'"'`) },
	"SQL":                     func(v string) string { return strings.ReplaceAll(v, `'`, `''`) },
	"CSV":                     func(v string) string { return strings.ReplaceAll(v, `"`, `""`) },
	"HTML":                    html.EscapeString,
}

// secretValues have in them what encoders treat apart.
var secretValues = []string{
	"p4ss/w0rd!(x)*yz", "pässwörd-lang", "tab\tin a secret", `quote"and'and\back`,
	"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
	"<html>&amp;+= 100%", "key 😀 with 中文", "$HOME `id` #{x};|",
}

func TestEncoders(t *testing.T) {
	for name, encode := range encoders {
		for _, value := range secretValues {
			s := NewSet(Parts(value))
			text := encode(value)
			got := s.String("before " + text + " behind")
			got = strings.TrimRight(strings.TrimSuffix(got, " behind"), "=") // padding of base64
			if got != "before "+Mark {
				t.Errorf("%s of %q: %q stays as %q", name, value, text, got)
			}
		}
	}
}

func TestUnit(t *testing.T) {
	for raw, want := range map[string]struct {
		p           progress
		text, other string
	}{
		"": {}, "x": {}, "%": {p: openUnit}, "%4": {p: openUnit}, "%41": {fullUnit, "A", ""}, "%c3": {fullUnit, "\xc3", ""},
		"%4g": {}, "%g": {}, "%+4": {}, `\`: {p: openUnit}, `\/`: {fullUnit, "/", ""}, `\n`: {fullUnit, "\n", ""}, `\q`: {},
		`\u00e`: {p: openUnit}, `\u00e4`: {fullUnit, "ä", ""}, `\u00E4`: {fullUnit, "ä", ""}, `\xe4`: {fullUnit, "\xe4", "ä"}, `\x41`: {fullUnit, "A", ""},
		`\ud83d`: {p: openUnit}, `\ud83d\`: {p: openUnit}, `\ud83d\ude00`: {fullUnit, "😀", ""}, `\ud83dx`: {}, `\ud83d\u0041`: {}, `\ude00`: {},
		`\u{1f600}`: {fullUnit, "😀", ""}, `\u{`: {p: openUnit}, `\u{}`: {}, `\u{110000}`: {}, `\U0001F600`: {fullUnit, "😀", ""},
		`\101`: {fullUnit, "A", ""}, `\10`: {p: openUnit}, `\19`: {}, `\400`: {}, `\\`: {fullUnit, `\`, ""},
		"&": {p: openUnit}, "&amp;": {fullUnit, "&", ""}, "&am": {p: openUnit}, "&amx": {}, "&#39;": {fullUnit, "'", ""}, "&#039;": {fullUnit, "'", ""},
		"&#x27;": {fullUnit, "'", ""}, "&#x2F": {p: openUnit}, "&#;": {}, "&#x;": {}, "&#99999999": {},
		"''": {fullUnit, "'", ""}, `'\''`: {fullUnit, "'", ""}, `'"'"'`: {fullUnit, "'", ""}, `'"'x`: {}, `""`: {fullUnit, `"`, ""},
	} {
		p, text, other := unit([]byte(raw))
		if p != want.p || string(text) != want.text || string(other) != want.other {
			t.Errorf("unit(%q) = %d %q %q, want %+v", raw, p, text, other, want)
		}
	}
}
