package ending

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// signs are patterns of which one must match a lower-case line.
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
	`^npm (err!|error) ?$`, `^npm (err!|error) (code|syscall|path|errno|command|cwd|dest|file|signal|location) `,
	`^npm (err!|error) \d{3} *$`, `^npm (err!|error) .*(this is related to npm not being able|this is probably not a problem with npm)`,
	`^\(use .node --trace`, `^node\.js v\d`, `^\(background on this error`, `^(see|try|run) .*(--help|for more|more information|-\w\b)`,
	`^for more information\b`, `^please (make sure|check|see|report|try)`, `^and the repository exists`, `^did you mean`,
	`^\[error\] *(\[help|->|to see the full|re-run maven|for more information|after correcting|$)`, `^\[(info|warning|debug)\]`,
	`^(traceback \(most recent|stack (back)?trace(back)?:?$|calls?: |call stack:?$|goroutine \d+ \[|callstack \()`,
	`^#\d+ (\{main\}|.*\(\d+\): )`, `^\+-+`, `^[=_*~-]{3,}$`, `^[=_*~-]{3,} .* [=_*~-]{3,}$`, `^\^[~^ ]*$`, `^(stdout|stderr):?$`, `^make(\[\d+\])?: (entering|leaving) directory`,
	`^make(\[\d+\])?: \*\*\* waiting for unfinished jobs`, `^unable to find image '.*' locally`, `^run '.*--help'`,
	`^in addition: warning`, `^removing leading .* from member names`, `^tar: removing leading`,
	`^\[notice\]`, `^lifecycle script`, `^exception ignored in`, `^\(core dumped\)$`, `^sentry is attempting`,
	`^tar: skipping to next header`, `^(shared )?connection to \S+ closed\.$`, `^running as unit: `, `^(service runtime|cpu time consumed|memory peak|memory swap peak|io bytes \w+|ip traffic \w+): `,
	`^% total +% received`, `^dload +upload `, // heads of curl's table
	`^#\d+ +0x[0-9a-f]+ `, `^\d+: \(`, // frames of C and Lisp
	`^error: called from$`, `^command (error|output|executed|exit status):$`, `^\[error\] total time: `, `^failed examples:$`, `^rspec \S+ # `, `^error termination\. backtrace:$`,
	`^(real|user|sys)\s+(\d+m)?[\d.,]+s?$`, `^[\d.]+user [\d.]+system `, `^\d+inputs\+\d+outputs `, // measurements of time and systemd-run
)

// warning is a line of a warning. Python prints the source line after it.
var warning = newPattern(`(^|[\s:\[(<"'])(warn|warning|deprecated|deprecation notice|\w*warning)([\s:\])>"',]|$)`)

// lowLevel matches the level of a logger's line that reports no error.
var lowLevel = newPattern(`(^|[\s\[(|"=<])(trace|debug|info|notice|warn|warning)([\s\])|":,>]|$)`)

// xtrace matches a command that a shell prints before it runs it.
var xtrace = newPattern(`^\++ \S`)

// progress matches the line of a progress bar.
var progress = compile(
	`^\S*.{0,40}?\d+(\.\d+)?%\s*(\||\[|▕|█|#)`, `^[\s.#=>-]*\d{1,3}(\.\d+)?%[\s.]*$`, `\[[=#>. -]{8,}\]`, `[█▉▊▋▌▍▎▏━╸]{3,}`,
	`^\s*\d+ +[\d.]+[kmg]? +\d+ +[\d.]+[kmg]? +\d+ `, // curl's table
	`\d+%(\s+[\d.]+[kmgt]?i?b)?\s+[\d.]+ ?[kmgt]?i?b/s\b`, `^\s*\d+k( \.{10}| \.*){3,}`,
)

// barsBefore match a progress bar in front of other text on the same line: of tqdm, curl, pv, and of scp
// and rsync.
var barsBefore = signs{
	newPattern(`^.{0,80}?\d+%\|.{0,200}?\| [\d.]+\w?/[\d.?]+\w? \[[^\]]{0,80}\] ?`),
	newPattern(`^ *(\d+ +[\d.]+[kMGTP]? +){3}[\d.]+[kMGTP]? +[\d.]+[kMGTP]? +(([\d:dh]+|--:--:--) +){3}[\d.]+[kMGTP]?`),
	newPattern(`^.{0,40}?\d:\d\d:\d\d \[[^\]]{0,20}/s\] \[[=<> -]{0,200}\] *(\d+% *)?(ETA [\d:+]+)?`),
	newPattern(`^.{0,200}?\d+% +([\d.]+[KMGT]?B +)?[\d.]+[kKMGT]?B/s +(--:--|[\d:]+)( ETA)?(  \([^)]{0,60}\))?`),
}

// withoutBar returns a line without a progress bar in front of its text.
func withoutBar(text string) string {
	for _, bar := range barsBefore {
		if bar.match(text) {
			text = bar.regexp().ReplaceAllString(text, "")
		}
	}
	return text
}

// goodbyes are the beginnings of lines that programs print when they exit for any reason.
var goodbyes = []string{
	"cleaning up", "cleaned up", "cleanup", "clean up", "removing ", "removed ", "deleting ", "deleted ", "shutting down", "shut down", "shutdown", "exiting", "quitting",
	"closing ", "closed ", "releasing ", "released ", "rolling back", "rolled back", "goodbye", "good bye", "bye", "done", "finished", "elapsed", "duration", "total time", "took ",
}

// isGoodbye reports whether a line is one of them. The name of the program may precede it.
func isGoodbye(low string) bool {
	if program, rest, ok := strings.Cut(low, ": "); ok && !strings.Contains(program, " ") {
		low = rest
	}
	return slices.ContainsFunc(goodbyes, func(begin string) bool { return strings.HasPrefix(low, begin) })
}

// consequences are lines that only report that another program failed.
var consequences = compile(
	`^make(\[\d+\])?: \*\*\* \[.*\] (\S+ \d+|\S+( \(core dumped\))?)( \(\S+\))?$`, `^make(\[\d+\])?: target .* not remade because of errors`,
	`^ninja: build stopped`, `exit(ed with)?( exit)? (status|code):? *-?\d+\.?$`, `exit(ed)? (with )?(status|code|exit code)[: =]+-?\d+\b`,
	`returned (a )?non-zero( exit)?( code| status)?`, `returned an error code`, `did not complete successfully: exit code`, `^npm (err!|error) (code elifecycle|failed at the|there is likely|lifecycle script)`,
	`\belifecycle\b`, `^error command failed`, `^tar( \(child\))?: (error is not recoverable|exiting with failure status|child returned status|error exit delayed)`,
	`^tar: .*: (cannot write|wrote only \d+ of \d+ bytes|write error).*\bbroken pipe$`, // its compressor has ended, and printed why
	`^rsync error: .*\(code \d+\)`, `^rsync: connection unexpectedly closed`,
	`^fatal: (could not read from remote repository|the remote end hung up unexpectedly)`, `^error: failed to push some refs`,
	`^error: aborting due to`, `^error: could not compile`, `^error: build failed`, `ld returned \d+ exit status`, `^\d+ (errors?|warnings?)( and \d+ errors?)?( generated)?\.?$`,
	`^execution halted`, `^(\S+: )?(line \d+: +)?(\d+ +)?(aborted|terminated)( +\(core dumped\))?( .*)?$`,
	`^build (failed|failure)`, `^(error|fatal|failure): (job|build|process|task|script) (failed|completed)`, `^failed \((failures|errors|skipped)=`,
	`^(fail|failed|failure)[.!]?$`, `^fail\t`, `^srun: error: .*: task`, `^srun: (job step|terminating)`, `^slurmstepd: error: \*\*\* step .* cancelled`,
	`^error: (metadata-generation-failed|subprocess-exited-with-error|legacy-install-failure)$`, `^× `, `^╰─>`, `^\[end of output\]`,
	`^!+ .*(interrupted|stopping after)`, `^psql: error: .*: error$`, `^(error|fatal)[: ]*$`, `^\[error\] compilation error`,
	`^pg_restore: (warning|error): errors ignored`, `^ ?command failed`, `called processerror`, `^[\w.]*calledprocesserror`,
	"called `result::unwrap\\(\\)` on an `err` value: any ", `poisonerror`, `aborting due to panic`, `^npm (err!|error) error: command failed`,
	`^tests?( suites)?: .*\d+ failed`, `^begin failed--compilation aborted`, `^compilation failed in require`, `configuring incomplete, errors occurred`, `^error: compilation failed`,
	`^terminating\b`, `^\S*: (giving up|aborting)\.?$`, `^error: process completed with`, `^w?get: .*giving up`,
	`^(\S+: )?(\w+ )?(error|failed|failure)( occurred)?( (on|at|near|in))?( \S+)?[: ]+line:? \d+[:.]?$`, // of a trap
	`current transaction is aborted, commands ignored`, `^automatic merge failed`, `^errors were encountered while processing`,
	`^compilation (failed; see|error\. see) `, `^there were failing tests\. see `, `^execution failed for task `, `^a failure occurred while executing `,
	`^[\w.]*(error|exception):$`, `^error in rule \S+:$`, `^exiting because a job execution failed`, `\b(childfailed|cellexecution|papermillexecution)error\b`,
	`terminated with an error exit status \(`, `^✖ \d+ problems? \(`, `^! (emergency stop| ==> fatal error)`, `^error: errors printed on page`,
	`^error in \S+ \(line \d+\)$`, `^\[error\] (\w+ errors? found|\(.* / .*\) )`, `\b(error|fatal|severe)\b.*\s:$`,
	`^webpack [\d.]+ compiled with`, `^\[ +failed +\]`, `^\d+ failed tests?$`, `^\d+ (tests?|examples?), \d+ failures?`, `^the following tests failed:$`,
	`^errors while running ctest`, `^finished with result: `, `^main processes terminated with: `,
)

// diagnostics are errors of compilers with a position in a file. The first one is the most useful.
var diagnostics = compile(
	`^(\[error\] )?(\S+[:(]\d+([:,]\d+)?\)?:?) (fatal )?error( \w+)?:`, // gcc, clang, javac, tsc
	`^(\./)?\S+\.go:\d+:\d+: `, `^\S+_test\.go:\d+: `, `^\[error\] \S+\.\w+:\[\d+,\d+\] `, `^psql:\S+:\d+: (error|fatal)`, `^error\[e\d+\]: `,
	`: undefined reference to `, `^\S+:\(\.\w+.*\): `, `^e: (file://)?\S+:\d+:\d+`, `^error: .* at line \d+`,
	`^\[error\] \S+:\d+:\d+: `, `^\d+:\d+ +error  `, `^! [a-z]`, `^\S+:\d+: failure$`, // sbt, ESLint, LaTeX, GoogleTest
)

// errorWords are words of lines that state an error.
var errorWords = newPattern(`(^|[^a-z0-9_/.=-])([a-z0-9_.$]*(error|exception|errno)|fatal|panic|critical|emerg|severe|err!|fehler|erreur|errore|erro|ошибка|błąd|错误|錯誤|エラー)([^a-z0-9_/=-]|$)`)

// errorForms are formats of errors only: of Google's loggers, of abbreviated levels, of curl, apt and make.
var errorForms = compile(
	`^[ef]\d{4} \d\d:\d\d:\d\d`, `^(erro|fata|pani)\[\d+\] `, `(^|[\s\[])(err|ftl|crit)[\s\]]`, `^curl: \(\d+\) `, `^e: `,
	`^make(\[\d+\])?: \*\*\* `, `^\S+:\d+: \*\*\* `, `^conflict \(`, `^failure/error: `,
)

// noErrors are lines with such a word that state no error.
var noErrors = compile(
	`\b(no|0|zero|without|without any|ignoring|ignored|non-fatal|mean|squared|train|test|validation|relative|absolute|standard) ([a-z]+ )?(errors?|exceptions?)\b`,
	`(errors?|exceptions?)"?\s*[:=]\s*"?(0|none|null|nil|false|""|\[\]|-?\d*\.\d+(e[+-]?\d+)?%?)"?([\s,;|)\]}]|$)`,
	`(errors|exceptions)"?\s*[:=]\s*\d+%?\s*([,;|)\]}]|$)`,
	`\b(0|no) (failed|failures?)\b`, `(failed|failures?)"?\s*[:=]\s*0\b`,
	`\berror[ _-](rate|handler|handling|reporting|log|correction|page|budget|bars?)\b`,
)

// systemErrors are error messages of systems and shells.
var systemErrors = []string{
	"no such file or directory", "permission denied", "connection refused", "connection reset", "connection timed out", "no route to host",
	"no space left on device", "disk quota exceeded", "cannot allocate memory", "operation not permitted", "input/output error", "broken pipe",
	"is a directory", "not a directory", "file exists", "directory not empty", "command not found", "address already in use", "too many open files",
	"read-only file system", "out of memory", "bad_alloc", "could not resolve host", "name or service not known", "temporary failure in name resolution",
	"network is unreachable", "host key verification failed", "unbound variable", "parameter not set", "bad substitution", "syntax error", "not found", "text file busy", "resource temporarily unavailable",
	"certificate verify failed", "killed", "invalid option", "unrecognized option", "argument list too long", "exec format error", "no rule to make target",
}

var (
	perlError  = newPattern(` at \S+ line \d+(, <\S*> (line|chunk) \d+)?\.$`)
	shellError = newPattern(`^\S+: line \d+: `)
)

// weakWords are words of lines that probably mention an error.
var weakWords = newPattern(`\b(fail(ed|ure|s)?|cannot|can't|could not|couldn't|unable|denied|refused|invalid|unknown|undefined|unexpected|missing|unreachable|abort(ed|ing)?|exceeded|time-?out|timed out|unauthorized|forbidden|rejected|not allowed|does not exist|doesn't exist|no such|not found|not possible|mismatch|corrupt(ed)?|illegal|unsupported|expired|segmentation fault|does not look like|not in \w+ format|errors?)\b`)

// strengthOf returns the strength of a line in lower case and without blanks around it.
func strengthOf(low string) Strength {
	switch {
	case low == "":
		return aside
	case xtrace.match(low):
		return Guessed // regardless of the command
	case asides.match(low), progress.match(low):
		return aside
	case consequences.match(low):
		return consequence
	case diagnostics.match(low):
		return diagnostic
	}
	switch levelOf(low) {
	case errorLevel:
		return Stated
	case otherLevel:
		if errorWords.match(low) || weakWords.match(low) {
			return Likely
		}
		return aside
	}
	if (errorWords.match(low) || errorForms.match(low)) && !noErrors.match(low) {
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
	if isGoodbye(low) {
		return aside
	}
	return Guessed
}
