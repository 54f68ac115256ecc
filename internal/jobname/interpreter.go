package jobname

import (
	"path"
	"slices"
	"strings"
)

// interpreter says how a program that runs a script takes its options, as far as it matters for finding
// the script. Short options may be combined in one argument: bash -euo pipefail.
type interpreter struct {
	valued   string   // letters whose value is the rest of the argument, else the next argument
	attached string   // letters whose value is the rest of the argument
	module   string   // letters of options whose value names what runs
	code     string   // letters of options after which no file runs: the program is an argument, or stdin
	plus     bool     // options begin with + too
	long     []string // long options whose value may be the next argument
	longCode []string // long options after which no file runs
}

var interpreters = map[string]interpreter{
	"python":  {valued: "WX", module: "m", code: "c", long: []string{"--check-hash-based-pycs"}},
	"node":    nodeJS,
	"nodejs":  nodeJS,
	"ruby":    {valued: "rICE", attached: "xFKTWi", code: "e", long: []string{"--encoding", "--external-encoding", "--internal-encoding", "--enable", "--disable", "--backtrace-limit"}},
	"perl":    {valued: "I", attached: "mMiFCDxV:", code: "eE"},
	"php":     {valued: "cdtz", code: "rBREFS", long: []string{"--php-ini", "--define", "--docroot", "--zend-extension"}, longCode: []string{"--run", "--process-begin", "--process-code", "--process-end", "--process-file", "--server"}},
	"Rscript": {valued: "g", code: "e"},
	"sh":      posixShell,
	"dash":    posixShell,
	"ksh":     posixShell,
	"zsh":     posixShell,
	"bash":    {valued: "oO", code: "cs", plus: true, long: []string{"--rcfile", "--init-file"}},
}

var posixShell = interpreter{valued: "o", code: "cs", plus: true}

var nodeJS = interpreter{
	valued: "rC", code: "epi",
	long: []string{
		"--require", "--import", "--loader", "--experimental-loader", "--conditions", "--env-file", "--env-file-if-exists", "--input-type",
		"--title", "--icu-data-dir", "--openssl-config", "--redirect-warnings", "--disable-warning", "--unhandled-rejections",
		"--dns-result-order", "--trace-event-categories", "--diagnostic-dir", "--watch-path",
	},
	longCode: []string{"--eval", "--print", "--interactive", "--run"},
}

// runs returns the name of the file or module that the interpreter runs, or nothing if it runs none.
func (in interpreter) runs(args []string) string {
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "-":
			return "" // stdin
		case arg == "--":
			return stem(strings.Join(args[i+1:min(i+2, len(args))], ""))
		case strings.HasPrefix(arg, "--"):
			name, _, hasValue := strings.Cut(arg, "=")
			switch {
			case slices.Contains(in.longCode, name):
				return ""
			case !hasValue && slices.Contains(in.long, name):
				i++
			}
		case strings.HasPrefix(arg, "-") || in.plus && strings.HasPrefix(arg, "+"):
			letter, value := in.letter(arg[1:])
			next := strings.Join(args[min(i+1, len(args)):min(i+2, len(args))], "")
			switch {
			case letter == "":
			case strings.Contains(in.code, letter):
				return ""
			case strings.Contains(in.module, letter):
				return orName(value, next)
			case strings.Contains(in.valued, letter) && value == "":
				i++
			}
		default:
			return stem(arg)
		}
	}
	return ""
}

// letter returns the first letter of an argument that takes a value or ends the search for a file, and
// the rest of the argument behind it; nothing if there is none.
func (in interpreter) letter(letters string) (letter, rest string) {
	if i := strings.IndexAny(letters, in.valued+in.attached+in.module+in.code); i >= 0 {
		return letters[i : i+1], letters[i+1:]
	}
	return "", ""
}

// javaValued are the options of java whose value is the next argument.
var javaValued = []string{
	"-cp", "-classpath", "--class-path", "-p", "--module-path", "--upgrade-module-path", "--add-modules", "--enable-native-access",
	"--limit-modules", "--add-exports", "--add-opens", "--add-reads", "--patch-module", "--source",
}

// jarOf returns the name of the archive that java runs, or nothing if it runs none.
func jarOf(args []string) string {
	jar := false
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "-jar":
			jar = true
		case arg == "-m" || arg == "--module":
			return ""
		case slices.Contains(javaValued, arg):
			i++
		case strings.HasPrefix(arg, "-") || strings.HasPrefix(arg, "@"): // @FILE has further options
		case jar:
			return stem(arg)
		default:
			return "" // a class
		}
	}
	return ""
}

// stem returns the base name of a file without its last extension; nothing if it has no name of its own.
func stem(file string) string {
	base := strings.TrimSpace(path.Base(file))
	switch base {
	case "", ".", "..", "/":
		return ""
	}
	if name := strings.TrimSpace(strings.TrimSuffix(base, path.Ext(base))); strings.Trim(name, ".") != "" {
		return name
	}
	return base // .profile
}
