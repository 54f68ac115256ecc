package crontab

import "strings"

// commandsOf splits a text for a shell into the words of its commands, with quotes removed. Redirections
// and empty commands are left out.
func commandsOf(script string) [][]string {
	var all [][]string
	var words []string
	end := func() {
		if len(words) > 0 {
			all = append(all, words)
		}
		words = nil
	}
	for rest := script; ; {
		rest = strings.TrimLeft(rest, " \t\r")
		if rest == "" || rest[0] == '#' {
			end()
			return all
		}
		switch rest[0] {
		case '\n', ';', '&', '|', '(', ')':
			end()
			rest = rest[1:]
			continue
		case '<', '>':
			_, rest = shellWord(strings.TrimLeft(strings.TrimLeft(rest, "<>&|"), " \t"))
			continue
		}
		var word string
		word, rest = shellWord(rest)
		if rest != "" && (rest[0] == '<' || rest[0] == '>') && strings.Trim(word, "0123456789") == "" {
			continue // the descriptor of a redirection
		}
		if word != "" {
			words = append(words, word)
		}
	}
}

// shellWord cuts a word off a text, with its quotes and backslashes removed.
func shellWord(text string) (word, rest string) {
	var b strings.Builder
	var quote byte
	i := 0
	for ; i < len(text); i++ {
		c := text[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == '\'':
			b.WriteByte(c)
		case c == '$' && i+1 < len(text) && text[i+1] == '(':
			end := i + 1 + substitution(text[i+1:])
			b.WriteString(text[i:end])
			i = end - 1
		case c == '\\' && i+1 < len(text) && (quote == 0 || strings.IndexByte("$`\"\\", text[i+1]) >= 0):
			i++
			b.WriteByte(text[i])
		case quote != 0:
			b.WriteByte(c)
		case c == '"' || c == '\'':
			quote = c
		case strings.IndexByte(" \t\r\n;&|()<>", c) >= 0:
			return b.String(), text[i:]
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}

// substitution returns the length of the parentheses at the beginning of a text.
func substitution(text string) int {
	depth := 0
	for i := range len(text) {
		switch text[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return len(text)
}
