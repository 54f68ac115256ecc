package notify

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// plain makes text of one line that shows nothing but itself: no control characters, no
// escape sequences of terminals, no characters that turn the direction of writing or hide.
func plain(s string, most int) string {
	s = withoutEscapes(strings.ToValidUTF8(s, "\uFFFD"))
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' || r == '\r' || r == '\t' || unicode.Is(unicode.Z, r):
			r = ' '
		case !unicode.IsGraphic(r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r), unicode.Is(unicode.Variation_Selector, r):
			continue // fillers and selectors are graphic by category, and show nothing
		}
		if b.Len()+utf8.RuneLen(r) > most {
			b.WriteString("…")
			break
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// withoutEscapes takes out whole ANSI sequences, so that nothing of them is left to read.
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

// inert takes the meaning from what chat services and mail readers would act on: mentions
// of people or of everyone, links with another text, mark-up and tags. A zero width space
// keeps it readable; angle brackets become quotes that look like them.
var inert = strings.NewReplacer(
	"@", "@\u200b", "<", "‹", ">", "›", "](", "]\u200b(", "`", "'", "://", ":\u200b//",
)

// harmless is foreign text for a message that a chat service interprets.
func harmless(s string, most int) string { return inert.Replace(plain(s, most)) }
