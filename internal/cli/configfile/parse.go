// Package configfile reads the configuration files of agents and clients: which there are, what is in them, and what of it
// cannot be used.
package configfile

import (
	"bytes"
	"strings"
)

// Line is a line that sets an option.
type Line struct {
	Number     int // from 1
	Key, Value string
}

// bad is a line that sets nothing.
type bad struct {
	number int
	why    string
}

const byteOrderMark = "\xef\xbb\xbf"

// Parse reads the text of a file. A line is empty, a comment that begins with #, or key = value; blanks around key and value
// are no part of them. Lines end with a line feed, which may follow a carriage return. Everything else is for the caller: what
// keys there are, and which values they take. No message repeats a text that may be a secret.
func Parse(text []byte) (lines []Line, wrong []bad) {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	number := 0
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		number++
		s := strings.Trim(string(line), " \t\r")
		if s == "" || s[0] == '#' {
			continue
		}
		key, value, found := strings.Cut(s, "=")
		key, value = strings.TrimRight(key, " \t"), strings.TrimLeft(value, " \t")
		switch {
		case strings.ContainsFunc(s, control):
			wrong = append(wrong, bad{number, "it has a control character"})
		case !found:
			wrong = append(wrong, bad{number, "it is not key = value"})
		case key == "":
			wrong = append(wrong, bad{number, "there is no key before the ="})
		default:
			lines = append(lines, Line{number, key, value})
		}
	}
	return lines, wrong
}

// control reports whether a rune is a control character other than a tab.
func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
