// Package crontab reads crontabs as cron(8) does, and has cron start their jobs through stint-sh: it
// inserts lines above jobs, and removes exactly these again. Every other byte of a crontab stays.
package crontab

import (
	"strings"
)

// Kind is what a line is.
type Kind int

// The kinds of lines.
const (
	Other    Kind = iota // blank, a comment, or nothing that cron accepts
	Variable             // NAME=VALUE
	Job                  // a schedule and a command
)

// Line is one line of a crontab.
type Line struct {
	Text string // with its line end, if it has one
	Kind Kind

	Name, Value string // of a variable

	Schedule string // of a job: five fields with one space between them, or a word such as @daily
	User     string // of a job; empty in the crontab of a user
	Command  string // of a job: the rest of the line, with every % as it is written
}

// Table is a crontab.
type Table struct {
	Lines []Line
	users bool
}

// Parse reads a crontab. A system crontab, such as /etc/crontab, has a user before each command. What
// cron does not accept is kept as it is.
func Parse(text string, system bool) Table {
	t := Table{users: system}
	for text != "" {
		end := strings.IndexByte(text, '\n') + 1
		if end == 0 {
			end = len(text)
		}
		t.Lines = append(t.Lines, parseLine(text[:end], system))
		text = text[end:]
	}
	return t
}

// String returns the text of the crontab.
func (t Table) String() string {
	var b strings.Builder
	for _, l := range t.Lines {
		b.WriteString(l.Text)
	}
	return b.String()
}

// blanks are what cron skips between fields. A carriage return is not among them: it is the last
// byte of a command, as in cron.
const blanks = " \t"

func parseLine(text string, system bool) Line {
	l := Line{Text: text}
	rest := strings.TrimLeft(strings.TrimSuffix(text, "\n"), blanks)
	if rest == "" || rest[0] == '#' {
		return l
	}
	if name, value, ok := assignment(rest); ok {
		l.Kind, l.Name, l.Value = Variable, name, value
		return l
	}
	var ok bool
	if l.Schedule, rest, ok = cutSchedule(rest); !ok {
		return l
	}
	if system {
		if l.User, rest = cutField(rest); l.User == "" {
			return l
		}
	}
	if l.Command = rest; l.Command != "" {
		l.Kind = Job
	}
	return l
}

// cutField returns the first field and what follows it and its blanks.
func cutField(text string) (field, rest string) {
	end := strings.IndexAny(text, blanks)
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimLeft(text[end:], blanks)
}

// cutSchedule cuts the schedule off a line. Whether its values make sense is not checked: cron does.
func cutSchedule(text string) (schedule, rest string, ok bool) {
	first, rest := cutField(text)
	if len(first) > 1 && first[0] == '@' {
		return first, rest, true
	}
	fields := []string{first}
	for len(fields) < 5 {
		var next string
		next, rest = cutField(rest)
		fields = append(fields, next)
	}
	for i, f := range fields {
		if i == 0 {
			f = strings.TrimPrefix(f, "-") // in some crons: not to be logged
		}
		if f == "" || strings.IndexByte("*0123456789", f[0]) < 0 && (i < 3 || !letters(f)) {
			return "", "", false
		}
	}
	return strings.Join(fields, " "), rest, true
}

// letters reports whether a field begins with the name of a month or day.
func letters(field string) bool {
	c := field[0] | 0x20
	return 'a' <= c && c <= 'z'
}

// Script returns what the shell of a job gets: the command up to its first % that has no backslash
// before it. What follows is the input of the job.
func (l Line) Script() string {
	var b strings.Builder
	for i := 0; i < len(l.Command); i++ {
		switch c := l.Command[i]; {
		case c == '%':
			return b.String()
		case c == '\\' && i+1 < len(l.Command) && l.Command[i+1] == '%':
			i++
			b.WriteByte('%')
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}
