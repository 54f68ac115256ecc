package crontab

import (
	"fmt"
	"path"
	"strings"

	"stint.dev/stint/internal/jobname"
	"stint.dev/stint/job"
)

// Command is what the text that cron gives to a shell says about its job.
type Command struct {
	// Name is the name of the job, from the first program that does more than prepare another one.
	Name string
	// Set are the variables STINT_… that are set at the beginning of the text for its first command.
	Set map[string]string
	// program is the base name of that program, which was the name of the job in earlier versions.
	program string
	// Stint is true if the text runs stint by itself: stint run, a server, stint flush.
	Stint bool
}

// Skip reports whether the text is to run without stint: it runs stint by itself, or sets STINT_SKIP=1.
func (c Command) Skip() bool { return c.Stint || c.Set["STINT_SKIP"] == "1" }

// Describe reads a text for a shell. It knows as much of the language of shells as lines of crontabs
// usually have: it only finds a name.
func Describe(script string) Command {
	commands := commandsOf(script)
	c := Command{Set: map[string]string{}}
	fallback := ""
	for i, words := range commands {
		words = c.takeVariables(words, i == 0)
		if len(words) > 0 && fallback == "" {
			fallback = words[0]
		}
		if name, done := c.nameOf(words); done {
			c.Name = jobname.Valid(name)
			return c
		}
	}
	c.Name = jobname.Valid(fallback)
	return c
}

// EarlierName returns the name that the job of a command had in versions that named it after its program, if
// name is what the command gives it now, as stint run or as a line of a crontab, and differs; else nothing.
func EarlierName(args []string, name string) string {
	before := ""
	switch {
	case jobname.Of(args) == name:
		before = jobname.Before(args)
	case len(args) == 3 && args[1] == "-c":
		if c := Describe(args[2]); c.Name == name {
			before = jobname.Valid(c.program)
		}
	}
	if before == name {
		return ""
	}
	return before
}

// takeVariables removes the assignments before a command, and records those for Stint.
func (c *Command) takeVariables(words []string, record bool) []string {
	for len(words) > 0 {
		name, value, ok := jobname.Assignment(words[0])
		if !ok {
			break
		}
		if record && strings.HasPrefix(name, "STINT_") && !strings.ContainsAny(value, "$`") {
			c.Set[name] = value
		}
		words = words[1:]
	}
	return words
}

// preparing are commands that only prepare another one, which follows.
var preparing = map[string]bool{
	"cd": true, "test": true, "[": true, "[[": true, ".": true, "source": true, "export": true, "set": true,
	"umask": true, "ulimit": true, "sleep": true, "true": true, ":": true, "pushd": true,
}

// keywords are words of a shell before a command.
var keywords = map[string]bool{"if": true, "then": true, "while": true, "until": true, "do": true, "else": true, "!": true, "{": true, "(": true}

// nameOf returns the name that a command gives to its job; done is false if the command only prepares
// another one.
func (c *Command) nameOf(words []string) (name string, done bool) {
	for len(words) > 0 {
		base := path.Base(words[0])
		inner, script := jobname.Unwrap(words)
		switch {
		case keywords[words[0]]:
			words = words[1:]
		case preparing[base] || base == "command" && len(words) > 1 && strings.HasPrefix(words[1], "-"):
			return "", false
		case base == "run-parts" && len(words) > 1:
			return path.Base(words[len(words)-1]), true
		case base == "stint" || base == "stint-agent":
			c.Stint = true
			return base, true
		case script != "":
			described := Describe(script)
			c.Stint, c.program = described.Stint, described.program
			return described.Name, true
		case len(inner) > 0:
			words = inner
		default:
			c.program = base
			return jobname.Program(words), true
		}
	}
	return "", false
}

// numbered returns a name with a number behind it, within the size of names.
func numbered(name string, n int) string {
	end := fmt.Sprintf("-%d", n)
	if most := job.MaxNameBytes - len(end); len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return name + end
}
