package crontab

import (
	"fmt"
	"path"
	"strings"

	"stint.dev/stint/job"
)

// Command is what the text that cron gives to a shell says about its job.
type Command struct {
	// Name is the name of the job, from the first program that does more than prepare another one.
	Name string
	// Set are the variables STINT_… that are set at the beginning of the text for its first command.
	Set map[string]string
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
			c.Name = job.DefaultName(name)
			return c
		}
	}
	c.Name = job.DefaultName(fallback)
	return c
}

// takeVariables removes the assignments before a command, and records those for Stint.
func (c *Command) takeVariables(words []string, record bool) []string {
	for len(words) > 0 {
		name, value, ok := strings.Cut(words[0], "=")
		if !ok || !isName(name) {
			break
		}
		if record && strings.HasPrefix(name, "STINT_") && !strings.ContainsAny(value, "$`") {
			c.Set[name] = value
		}
		words = words[1:]
	}
	return words
}

// isName reports whether a text is the name of a variable of a shell.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// preparing are commands that only prepare another one, which follows.
var preparing = map[string]bool{
	"cd": true, "test": true, "[": true, "[[": true, ".": true, "source": true, "export": true, "set": true,
	"umask": true, "ulimit": true, "sleep": true, "true": true, ":": true, "pushd": true,
}

// keywords are words of a shell before a command.
var keywords = map[string]bool{"if": true, "then": true, "while": true, "until": true, "do": true, "else": true, "!": true, "{": true, "(": true}

// wrapper says how a program that runs another one takes its arguments.
type wrapper struct {
	valued   string // letters of options that take a value
	operands int    // how many arguments come before the command
}

var wrappers = map[string]wrapper{
	"nice": {"n", 0}, "ionice": {"cnpPu", 0}, "flock": {"wE", 1}, "timeout": {"sk", 1}, "env": {"uSC", 0}, "sudo": {"ugpCh", 0},
	"nohup": {}, "setsid": {}, "exec": {"a", 0}, "time": {"of", 0}, "chronic": {}, "cronic": {}, "stdbuf": {"ioe", 0},
	"systemd-cat": {"tp", 0}, "chrt": {"TPD", 1}, "runuser": {"ugG", 0}, "eval": {}, "builtin": {},
}

// nameOf returns the name that a command gives to its job; done is false if the command only prepares
// another one.
func (c *Command) nameOf(words []string) (name string, done bool) {
	for len(words) > 0 {
		base := path.Base(words[0])
		how, wraps := wrappers[base]
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
		case !wraps:
			return base, true
		default:
			rest, script := how.command(words[1:])
			if script != "" { // flock FILE -c SCRIPT
				inner := Describe(script)
				c.Stint = inner.Stint
				return inner.Name, true
			}
			if rest = c.takeVariables(rest, false); len(rest) == 0 {
				return base, true
			}
			words = rest
		}
	}
	return "", false
}

// command returns the command behind the options and operands of a wrapper, or the script that it is given.
func (w wrapper) command(args []string) (words []string, script string) {
	operands := w.operands
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "-c" && w.operands > operands && len(args) > 1:
			return nil, args[1]
		case arg == "--":
			args = args[1:]
			return args[min(operands, len(args)):], ""
		case strings.HasPrefix(arg, "-") && len(arg) > 1:
			if len(arg) == 2 && strings.Contains(w.valued, arg[1:]) && len(args) > 1 {
				args = args[1:]
			}
			args = args[1:]
		case operands > 0:
			operands--
			args = args[1:]
		default:
			return args, ""
		}
	}
	return nil, ""
}

// numbered returns a name with a number behind it, within the size of names.
func numbered(name string, n int) string {
	end := fmt.Sprintf("-%d", n)
	if most := job.MaxNameBytes - len(end); len(name) > most {
		name = strings.ToValidUTF8(name[:most], "")
	}
	return name + end
}
