package logs

import (
	"strings"
	"unicode/utf8"
)

// signs are patterns of which one must match. A line is tried in lower case.
type signs []*pattern

func compile(patterns ...string) signs {
	out := make(signs, len(patterns))
	for i, p := range patterns {
		out[i] = newPattern(p)
	}
	return out
}

func (s signs) match(text string) bool {
	for _, one := range s {
		if one.match(text) {
			return true
		}
	}
	return false
}

// asides are lines that state no error: warnings, hints, progress.
var asides = compile(
	`^(\S+:\d+(:\d+)?: )?(note|hint|help|detail|context|usage|info|debug|trace|notice)(\[\w+\])?:( |$)`, `^line \d+: `,
	`^(npm|yarn|pnpm) (warn|notice|info)\b`, `^(npm (err!|error) )?a complete log of this run`, `^npm (err!|error) +\S+-debug-\d+\.log$`,
	`^(npm (err!|error) ?)?$`, `^npm (err!|error) (code|syscall|path|errno|command|cwd|dest|file|signal|location) `,
	`^npm (err!|error) \d{3} *$`, `^npm (err!|error) .*(this is related to npm not being able|this is probably not a problem with npm)`,
	`^\(use .node --trace`, `^node\.js v\d`, `^\(background on this error`, `^(see|try|run) .*(--help|for more|more information|-\w\b)`,
	`^for more information\b`, `^please (make sure|check|see|report|try)`, `^and the repository exists`, `^did you mean`,
	`^\[error\] *(\[help|->|to see the full|re-run maven|for more information|after correcting|$)`, `^\[(info|warning|debug)\]`,
	`^(traceback \(most recent|stack (back)?trace(back)?:?$|calls?: |call stack:?$|goroutine \d+ \[|callstack \()`,
	`^#\d+ (\{main\}|.*\(\d+\): )`, `^\+-+`, `^[=_*~-]{3,}$`, `^[=_*~-]{3,} .* [=_*~-]{3,}$`, `^\^[~^ ]*$`, `^(stdout|stderr)?:?$`, `^make(\[\d+\])?: (entering|leaving) directory`,
	`^make(\[\d+\])?: \*\*\* waiting for unfinished jobs`, `^unable to find image '.*' locally`, `^run '.*--help'`,
	`^in addition: warning`, `^removing leading .* from member names`, `^tar: removing leading`,
	`^\[notice\]`, `^lifecycle script`, `^exception ignored in`, `^\(core dumped\)$`, `^sentry is attempting`,
)

// warning is a line of a warning. Python's has the line of the source after it.
var warning = newPattern(`(^|[\s:\[(<"'])(warn|warning|deprecated|deprecation notice|\w*warning)([\s:\])>"',]|$)`)

// lowLevel is the level of a logger's line that reports no error, whatever the line is about.
var lowLevel = newPattern(`(^|[\s\[(|"=<])(trace|debug|info|notice|warn|warning)([\s\])|":,>]|$)`)

// xtrace is a command that a shell prints before it runs it.
var xtrace = newPattern(`^\++ \S`)

// progress is a line of a progress bar as it was left.
var progress = compile(
	`^\S*.{0,40}?\d+(\.\d+)?%\s*(\||\[|▕|█|#)`, `^[\s.#=>-]*\d{1,3}(\.\d+)?%[\s.]*$`, `\[[=#>. -]{8,}\]`, `[█▉▊▋▌▍▎▏━╸]{3,}`,
	`^\s*\d+ +[\d.]+[kmg]? +\d+ +[\d.]+[kmg]? +\d+ `, // curl's table
	`\d+%\s+[\d.]+ ?[kmgt]?i?b/s\b`, `^\s*\d+k( \.{10}| \.*){3,}`,
)

// barBefore is a progress bar that a program left before what it printed on the same line.
var barBefore = newPattern(`^.{0,80}?\d+%\|.{0,200}?\| [\d.]+\w?/[\d.?]+\w? \[[^\]]{0,80}\] ?`)

// consequences are lines that only say that what was run before has failed.
var consequences = compile(
	`^make(\[\d+\])?: \*\*\* \[.*\] (error \d+|\w+( \(core dumped\))?)( \(ignored\))?$`, `^make(\[\d+\])?: target .* not remade because of errors`,
	`^ninja: build stopped`, `exit(ed with)?( exit)? (status|code):? *-?\d+\.?$`, `exit(ed)? (with )?(status|code|exit code)[: =]+-?\d+\b`,
	`returned (a )?non-zero( exit)?( code| status)?`, `did not complete successfully: exit code`, `^npm (err!|error) (code elifecycle|failed at the|there is likely|lifecycle script)`,
	`\belifecycle\b`, `^error command failed`, `^tar( \(child\))?: (error is not recoverable|exiting with failure status|child returned status|error exit delayed)`,
	`^rsync error: .*(see previous errors|unexplained error|error in rsync protocol)`, `^rsync: connection unexpectedly closed`,
	`^fatal: (could not read from remote repository|the remote end hung up unexpectedly)`, `^error: failed to push some refs`,
	`^error: aborting due to`, `^error: could not compile`, `^error: build failed`, `ld returned \d+ exit status`, `^\d+ (errors?|warnings?)( and \d+ errors?)?( generated)?\.?$`,
	`^execution halted`, `^(\S+: )?(line \d+: )?(\d+ )?(aborted|segmentation fault|bus error|illegal instruction|terminated)( +\(core dumped\))?( .*)?$`,
	`^build (failed|failure)`, `^(error|fatal|failure): (job|build|process|task|script) (failed|completed)`, `^failed \((failures|errors|skipped)=`,
	`^(fail|failed|failure)[.!]?$`, `^fail\t`, `^srun: error: .*: task`, `^srun: (job step|terminating)`, `^slurmstepd: error: \*\*\* step .* cancelled`,
	`^error: (metadata-generation-failed|subprocess-exited-with-error|legacy-install-failure)$`, `^× `, `^╰─>`, `^\[end of output\]`,
	`^!+ .*(interrupted|stopping after)`, `^psql: error: .*: error$`, `^(error|fatal)[: ]*$`, `^\[error\] compilation error`,
	`^pg_restore: (warning|error): errors ignored`, `^ ?command failed`, `called processerror`, `^[\w.]*calledprocesserror`,
	"called `result::unwrap\\(\\)` on an `err` value: any ", `poisonerror`, `aborting due to panic`, `^npm (err!|error) error: command failed`,
	`^tests?( suites)?: .*\d+ failed`, `^begin failed--compilation aborted`, `^compilation failed in require`, `configuring incomplete, errors occurred`, `^error: compilation failed`,
	`^terminating\b`, `^\S*: (giving up|aborting)\.?$`, `^error: process completed with`, `^w?get: .*giving up`,
)

// diagnostics name a place in a file, as compilers do: the first of them is the one to look at.
var diagnostics = compile(
	`^(\[error\] )?(\S+[:(]\d+([:,]\d+)?\)?:?) (fatal )?error( \w+)?:`, // gcc, clang, javac, tsc
	`^(\./)?\S+\.go:\d+:\d+: `, `^\S+_test\.go:\d+: `, `^\[error\] \S+\.\w+:\[\d+,\d+\] `, `^psql:\S+:\d+: (error|fatal)`, `^error\[e\d+\]: `,
	`: undefined reference to `, `^\S+:\(\.\w+.*\): `, `^e: (file://)?\S+:\d+:\d+`, `^error: .* at line \d+`,
)

// errorWords say outright that a line states an error.
var errorWords = newPattern(`(^|[^a-z0-9_/.=-])([a-z0-9_.$]*(error|exception|errno)|fatal|panic|critical|emerg|severe|err!)([^a-z0-9_/=-]|$)|level"?[=:] ?"?(error|fatal|critical|panic)`)

// glogError is an error in the form of Google's loggers.
var glogError = newPattern(`^[ef]\d{4} \d\d:\d\d:\d\d`)

// noErrors are lines with such a word that state none.
var noErrors = compile(
	`\b(no|0|zero|without|without any|ignoring|ignored|non-fatal|mean|squared|train|test|validation|relative|absolute|standard) ([a-z]+ )?(errors?|exceptions?)\b`,
	`(errors?|exceptions?)"?\s*[:=]\s*"?(0|none|null|nil|false|""|\[\]|-?\d*\.\d+(e[+-]?\d+)?%?)"?([\s,;|)\]}]|$)`,
	`(errors?|exceptions?)"?\s*[:=]\s*\d+%?\s*([,;|)\]}]|$)`,
	`\berror[ _-](rate|handler|handling|reporting|log|correction|page|budget|bars?)\b`,
)

// systemErrors are what systems and shells call errors.
var systemErrors = []string{
	"no such file or directory", "permission denied", "connection refused", "connection reset", "connection timed out", "no route to host",
	"no space left on device", "disk quota exceeded", "cannot allocate memory", "operation not permitted", "input/output error", "broken pipe",
	"is a directory", "not a directory", "file exists", "directory not empty", "command not found", "address already in use", "too many open files",
	"read-only file system", "out of memory", "bad_alloc", "could not resolve host", "name or service not known", "temporary failure in name resolution",
	"network is unreachable", "host key verification failed", "unbound variable", "syntax error", "not found", "text file busy", "resource temporarily unavailable",
	"certificate verify failed", "killed", "invalid option", "unrecognized option", "argument list too long", "exec format error", "no rule to make target",
}

var (
	perlError  = newPattern(` at \S+ line \d+(, <\S*> (line|chunk) \d+)?\.$`)
	shellError = newPattern(`^\S+: line \d+: `)
)

// weakWords make it likely that a line is about an error.
var weakWords = newPattern(`\b(fail(ed|ure|s)?|cannot|can't|could not|couldn't|unable|denied|refused|invalid|unknown|undefined|unexpected|missing|unreachable|abort(ed|ing)?|exceeded|time-?out|timed out|unauthorized|forbidden|rejected|not allowed|does not exist|doesn't exist|no such|not found|not possible|mismatch|corrupt(ed)?|illegal|unsupported|expired|errors?)\b`)

// strengthOf tells how surely a line, in lower case and without blanks around it, states an error.
func strengthOf(low string) Strength {
	switch {
	case xtrace.match(low):
		return Guessed // whatever the command is about
	case asides.match(low), progress.match(low):
		return aside
	case consequences.match(low):
		return consequence
	case diagnostics.match(low):
		return diagnostic
	}
	if (errorWords.match(low) || glogError.match(low)) && !noErrors.match(low) {
		if lowLevel.comesBefore(errorWords, low) {
			return Likely
		}
		return Stated
	}
	if warning.match(low) {
		return aside
	}
	if perlError.match(low) || shellError.match(low) {
		return Stated
	}
	for _, text := range systemErrors {
		if strings.Contains(low, text) && strings.Contains(low, ":") {
			return Stated
		}
	}
	if weakWords.match(low) && !noErrors.match(low) {
		return Likely
	}
	if 4*strings.Count(low, "\uFFFD") > utf8.RuneCountInString(low) {
		return aside // no text
	}
	return Guessed
}
