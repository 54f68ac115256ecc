// Package jobname derives the name of a job from its command: stint run, stint submit
// and the shell of cron use the same name.
package jobname

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"stint.dev/stint/job"
)

// Of returns the name of the job that a command is: the file or module that an interpreter runs, without
// its last extension, else the base name of the program. Programs that only run another one, such as env
// and nice, are passed over. Files are not looked at: a script that was deleted gives the same name.
func Of(args []string) string {
	for {
		inner, _ := Unwrap(args)
		if len(inner) == 0 {
			return Valid(Program(args))
		}
		args = inner
	}
}

// Before returns the name that Of had in versions before it knew interpreters: the base name of the command.
func Before(args []string) string {
	if len(args) == 0 {
		return Valid("")
	}
	return Valid(args[0])
}

// Program returns the name that a program with its arguments gives to a job. It need not be a valid one.
func Program(args []string) string {
	if len(args) == 0 {
		return ""
	}
	base := path.Base(args[0])
	if base == "java" {
		return orName(jarOf(args[1:]), base)
	}
	// python3.11 and bash-5.2 are python and bash.
	if how, ok := interpreters[strings.TrimRight(base, "0123456789.-")]; ok {
		return orName(how.runs(args[1:]), base)
	}
	return base
}

func orName(name, other string) string {
	if name == "" {
		return other
	}
	return name
}

// Valid returns the base name of a text as the name of a job: what such names refuse is replaced. It is
// "job" when nothing is left.
func Valid(text string) string {
	name := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || !unicode.IsGraphic(r) || strings.ContainsRune("#/\\", r) || r == utf8.RuneError {
			return '-'
		}
		return r
	}, strings.TrimSpace(path.Base(text)))
	if len(name) > job.MaxNameBytes {
		name = strings.TrimSpace(strings.ToValidUTF8(name[:job.MaxNameBytes], ""))
	}
	if job.CheckName(name) != nil {
		return "job"
	}
	return name
}
