package jobname

import (
	"path"
	"strings"
)

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

// Unwrap returns the command that the program at the beginning of words runs, without assignments before
// it, or the script that it gives to a shell; nothing if the program runs no other one.
func Unwrap(words []string) (command []string, script string) {
	if len(words) == 0 {
		return nil, ""
	}
	how, ok := wrappers[path.Base(words[0])]
	if !ok {
		return nil, ""
	}
	command, script = how.command(words[1:])
	for len(command) > 0 {
		if _, _, ok := Assignment(command[0]); !ok {
			break
		}
		command = command[1:]
	}
	return command, script
}

// command returns the command behind the options and operands of a wrapper, or the script that it is given.
func (w wrapper) command(args []string) (words []string, script string) {
	operands := w.operands
	for len(args) > 0 {
		arg := args[0]
		switch {
		case arg == "-c" && w.operands > operands && len(args) > 1: // flock FILE -c SCRIPT
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

// Assignment splits a word that assigns to a variable of a shell; ok is false for any other.
func Assignment(word string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(word, "=")
	return name, value, ok && isVariable(name)
}

// isVariable reports whether a text is the name of a variable of a shell.
func isVariable(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
