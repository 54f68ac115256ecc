package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Plain returns text as one line of at most limit bytes, without control characters, escape sequences of terminals,
// and characters that are invisible or change the direction of writing.
func Plain(s string, limit int) string {
	s = withoutEscapes(strings.ToValidUTF8(s, "\uFFFD"))
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Z, r):
			r = ' '
		case !unicode.IsGraphic(r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r):
			continue // fillers and selectors are graphic by category, but invisible
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// withoutEscapes returns text without ANSI escape sequences.
func withoutEscapes(s string) string {
	if !strings.ContainsRune(s, '\x1b') {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\x1b' {
			b.WriteByte(s[i])
			continue
		}
		i++
		switch {
		case i < len(s) && s[i] == '[': // CSI: up to a letter
			for i++; i < len(s) && (s[i] < 0x40 || s[i] > 0x7e); i++ { //nolint:revive // the index is what moves
			}
		case i < len(s) && s[i] == ']': // OSC: up to BEL or ESC
			for i++; i < len(s) && s[i] != '\a' && s[i] != '\x1b'; i++ { //nolint:revive // the index is what moves
			}
		}
	}
	return b.String()
}

// inert replaces what chat services and mail readers would interpret: mentions, links with another text, markup and
// tags. A zero width space keeps the text readable, and angle brackets become similar quotes.
var inert = strings.NewReplacer(
	"@", "@\u200b", "<", "‹", ">", "›", "](", "]\u200b(", "`", "'", "://", ":\u200b//",
)

// Inert returns foreign text, as Plain does, for a message that a chat service interprets.
func Inert(s string, limit int) string { return inert.Replace(Plain(s, limit)) }
