package crontab

import "strings"

// assignment reads a line NAME=VALUE as cron does: both may be quoted, and blanks around them do
// not count. A line that is none is a job, or wrong.
func assignment(line string) (name, value string, ok bool) {
	name, rest, ended := word(line, "=")
	if !ended {
		return "", "", false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, space), "=")
	if !ok || name == "" {
		return "", "", false
	}
	rest = strings.TrimLeft(rest, space)
	if rest == "" {
		return "", "", false // cron takes it for a job without a command
	}
	if quote := rest[0]; quote != '"' && quote != '\'' {
		return name, strings.TrimRight(rest, space), true
	}
	value, rest, ended = word(rest, "")
	if !ended || strings.TrimLeft(rest, space) != "" {
		return "", "", false
	}
	return name, value, true
}

// space is what isspace(3) accepts.
const space = " \t\n\v\f\r"

// word cuts a word off a text: in quotes, or up to a blank or one of the bytes in stop. A word in
// quotes ends at the byte in stop, too. ended is false if nothing ends the word.
func word(text, stop string) (w, rest string, ended bool) {
	if text != "" && (text[0] == '"' || text[0] == '\'') {
		quote := text[:1]
		end := strings.IndexAny(text[1:], quote+stop)
		if end < 0 {
			return "", "", false
		}
		rest = text[1+end:]
		return text[1 : 1+end], strings.TrimPrefix(rest, quote), true
	}
	end := strings.IndexAny(text, space+stop)
	if end < 0 {
		return text, "", false
	}
	return text[:end], text[end:], true
}

// variable returns the line NAME=VALUE, which cron reads back as value; ok is false if there is none.
func variable(name, value string) (l Line, ok bool) {
	for _, quote := range []string{"", `"`, "'"} {
		l = parseLine(name+"="+quote+value+quote+"\n", false)
		if l.Kind == Variable && l.Name == name && l.Value == value {
			return l, true
		}
	}
	return Line{}, false
}
