package redact

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxUnit is the length of the longest escape: two escapes of a surrogate pair, as in
// "\ud83d\ude00".
const maxUnit = 12

// progress is what the bytes of an escape so far amount to.
type progress int

const (
	notUnit  progress = iota // they begin no escape
	openUnit                 // more bytes are needed
	fullUnit                 // they are one escape, whole
)

// unit decodes one escape as it is written by an encoder for URLs (%2F), for JSON and the
// strings of most languages (\/ \n \u002f \x2f \057), for a shell (\! and the ways to write a
// quote inside quotes), for CSV and SQL (a doubled quote) or for HTML (&#47; &#x2f; &quot;). For a
// full unit it returns what the escape stands for: one byte, or the UTF-8 of one character;
// other is a second meaning, nil for none.
func unit(raw []byte) (p progress, text, other []byte) {
	if len(raw) == 0 || len(raw) > maxUnit {
		return notUnit, nil, nil
	}
	if len(raw) == 1 {
		if isIntro(raw[0]) {
			return openUnit, nil, nil
		}
		return notUnit, nil, nil
	}
	switch raw[0] {
	case '%':
		return hexByte(raw[1:], false)
	case '\\':
		return backslash(raw[1:])
	case '&':
		p, text = entity(string(raw[1:]))
		return p, text, nil
	case '\'':
		return oneOf(string(raw), "'", `''`, `'\''`, `'"'"'`)
	case '"':
		return oneOf(string(raw), `"`, `""`)
	}
	return notUnit, nil, nil
}

// isIntro reports whether an escape begins with a byte.
func isIntro(b byte) bool { return b == '%' || b == '\\' || b == '&' || b == '\'' || b == '"' }

func oneOf(raw, stands string, forms ...string) (progress, []byte, []byte) {
	for _, form := range forms {
		if raw == form {
			return fullUnit, []byte(stands), nil
		}
		if strings.HasPrefix(form, raw) {
			return openUnit, nil, nil
		}
	}
	return notUnit, nil, nil
}

// controls are the letters behind a backslash.
var controls = map[byte]byte{
	'a': 7, 'b': 8, 't': '\t', 'n': '\n', 'v': 11, 'f': 12, 'r': '\r', 'e': 27, 'E': 27,
}

// backslash decodes what follows one.
func backslash(raw []byte) (progress, []byte, []byte) {
	first := raw[0]
	switch {
	case first == 'u':
		return utf16Escape(raw[1:])
	case first == 'x':
		return hexByte(raw[1:], true)
	case first == 'U':
		return codePoint(raw[1:], 8)
	case first >= '0' && first <= '3':
		return octal(raw)
	case len(raw) > 1:
		return notUnit, nil, nil
	case controls[first] != 0:
		return fullUnit, []byte{controls[first]}, nil
	case first > ' ' && first < 127 && !isAlphanumeric(first) || first == ' ':
		return fullUnit, raw, nil
	}
	return notUnit, nil, nil
}

func isAlphanumeric(b byte) bool {
	return b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z'
}

// hexByte decodes two hexadecimal digits. As a character, 80 to ff are in Latin-1 as well.
func hexByte(raw []byte, character bool) (progress, []byte, []byte) {
	n, p := digits(raw, 2, 16)
	if p != fullUnit {
		return p, nil, nil
	}
	if character && n >= utf8.RuneSelf {
		return p, []byte{byte(n)}, utf8.AppendRune(nil, rune(n))
	}
	return p, []byte{byte(n)}, nil
}

func octal(raw []byte) (progress, []byte, []byte) {
	n, p := digits(raw, 3, 8)
	if p != fullUnit {
		return p, nil, nil
	}
	return p, []byte{byte(n)}, nil
}

func codePoint(raw []byte, length int) (progress, []byte, []byte) {
	n, p := digits(raw, length, 16)
	if p != fullUnit {
		return p, nil, nil
	}
	return utf8Of(n)
}

func utf8Of(n uint64) (progress, []byte, []byte) {
	if n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return notUnit, nil, nil
	}
	return fullUnit, utf8.AppendRune(nil, rune(n)), nil
}

// utf16Escape decodes four digits, and behind the first half of a surrogate pair another
// escape; or any number of digits in braces.
func utf16Escape(raw []byte) (progress, []byte, []byte) {
	if len(raw) > 0 && raw[0] == '{' {
		inner, closed := strings.CutSuffix(string(raw[1:]), "}")
		n, p := digits([]byte(inner), max(1, len(inner)), 16)
		switch {
		case p == notUnit || len(inner) > 6 || p == openUnit && closed || strings.HasPrefix(inner, "0"):
			return notUnit, nil, nil
		case p == openUnit || !closed:
			return openUnit, nil, nil
		}
		return utf8Of(n)
	}
	n, p := digits(raw[:min(4, len(raw))], 4, 16)
	if p != fullUnit {
		return p, nil, nil
	}
	isHigh := n >= 0xd800 && n < 0xdc00
	if !isHigh {
		if len(raw) > 4 {
			return notUnit, nil, nil
		}
		return utf8Of(n)
	}
	rest := raw[4:]
	if want := `\u`[:min(2, len(rest))]; string(rest[:len(want)]) != want {
		return notUnit, nil, nil
	}
	if len(rest) < 2 {
		return openUnit, nil, nil
	}
	low, p := digits(rest[2:], 4, 16)
	switch {
	case p != fullUnit:
		return p, nil, nil
	case low < 0xdc00 || low > 0xdfff:
		return notUnit, nil, nil
	}
	return utf8Of((n-0xd800)<<10 + (low - 0xdc00) + 0x10000)
}

// entities are the names that HTML and XML share.
var entities = map[string]string{"amp;": "&", "lt;": "<", "gt;": ">", "quot;": `"`, "apos;": "'"}

// entity decodes what follows an ampersand in HTML.
func entity(raw string) (progress, []byte) {
	for name, text := range entities {
		if raw == name {
			return fullUnit, []byte(text)
		}
		if strings.HasPrefix(name, raw) {
			return openUnit, nil
		}
	}
	number, ok := strings.CutPrefix(raw, "#")
	if !ok {
		return notUnit, nil
	}
	number, closed := strings.CutSuffix(number, ";")
	base := 10
	if hex, ok := strings.CutPrefix(strings.ToLower(number), "x"); ok {
		number, base = hex, 16
	}
	n, p := digits([]byte(number), max(1, len(number)), base)
	switch {
	case p == notUnit || len(number) > 7 || p == openUnit && closed:
		return notUnit, nil
	case strings.HasPrefix(number, "0") && (base == 16 || len(number) > 3):
		return notUnit, nil
	case p == openUnit || !closed:
		return openUnit, nil
	}
	p, text, _ := utf8Of(n)
	return p, text
}

// digits reads exactly length digits of a base.
func digits(raw []byte, length, base int) (uint64, progress) {
	if len(raw) == 0 {
		return 0, openUnit
	}
	n, err := strconv.ParseUint(string(raw), base, 32)
	switch {
	case err != nil || len(raw) > length:
		return 0, notUnit
	case len(raw) < length:
		return 0, openUnit
	}
	return n, fullUnit
}
