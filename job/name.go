package job

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what an agent may call things. They bound what the server stores and what the
// page draws.
const (
	MaxNameBytes  = 200
	MaxLabels     = 64
	MaxLabelBytes = 256 // of a key and of a value
	MaxAttempt    = 1_000_000
)

// InvalidError is the error of a value that was refused.
type InvalidError struct {
	What  string // "job name", "label key", …
	Value string
	Why   string
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.What, Quote(e.Value), e.Why)
}

// Quote shows a value in an error message without letting it flood or corrupt the line.
func Quote(s string) string {
	const most = 60
	if len(s) > most {
		cut := most
		for cut > 0 && !utf8.RuneStart(s[cut]) {
			cut--
		}
		return strconv.Quote(s[:cut]) + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return strconv.Quote(s)
}

// CheckName refuses a job name that is empty, longer than MaxNameBytes, not UTF-8, or has
// characters that would break a path, a table or the form job#number.
func CheckName(name string) error {
	if name == "." || name == ".." {
		return &InvalidError{"job name", name, "is a path, not a name"}
	}
	return checkWord("job name", name, MaxNameBytes, "#/\\")
}

// CheckWorker refuses the name of a worker, by the same rule as CheckName.
func CheckWorker(name string) error {
	if name == "." || name == ".." {
		return &InvalidError{"worker name", name, "is a path, not a name"}
	}
	return checkWord("worker name", name, MaxNameBytes, "#/\\")
}

// CheckHost refuses the name of a host that is empty, too long, or has characters that are not printable.
func CheckHost(name string) error { return checkWord("host name", name, MaxNameBytes, "") }

// CheckLabel refuses a label whose key is empty or whose key or value is too long or has
// control characters.
func CheckLabel(key, value string) error {
	if err := checkWord("label key", key, MaxLabelBytes, "="); err != nil {
		return err
	}
	if value == "" {
		return nil
	}
	return checkWord("label value", value, MaxLabelBytes, "")
}

func checkWord(what, s string, most int, forbidden string) error {
	switch {
	case s == "":
		return &InvalidError{what, s, "is empty"}
	case len(s) > most:
		return &InvalidError{what, s, fmt.Sprintf("is longer than %d bytes", most)}
	case !utf8.ValidString(s):
		return &InvalidError{what, s, "is not UTF-8"}
	case strings.TrimSpace(s) != s:
		return &InvalidError{what, s, "begins or ends with white space"}
	}
	for _, r := range s {
		if unicode.IsControl(r) || !unicode.IsGraphic(r) {
			return &InvalidError{what, s, fmt.Sprintf("has the character %U, which is not printable", r)}
		}
		if strings.ContainsRune(forbidden, r) {
			return &InvalidError{what, s, fmt.Sprintf("has the character %q; all but %s may be used, as in %s", r,
				strings.Join(strings.Split(forbidden, ""), " "), strings.Map(func(r rune) rune {
					if strings.ContainsRune(forbidden, r) {
						return '-'
					}
					return r
				}, s))}
		}
	}
	return nil
}

// CheckRunID refuses what is not a UUID in its usual form of 36 lower-case characters.
func CheckRunID(id string) error {
	if len(id) != 36 {
		return &InvalidError{"run id", id, "is not a UUID"}
	}
	for i, c := range []byte(id) {
		hyphen := i == 8 || i == 13 || i == 18 || i == 23
		if hyphen != (c == '-') || !hyphen && !strings.ContainsRune("0123456789abcdef", rune(c)) {
			return &InvalidError{"run id", id, "is not a UUID in lower case"}
		}
	}
	return nil
}

// CommandLine writes words so that a shell would read the same words again.
func CommandLine(args []string) string {
	quoted := make([]string, len(args))
	for i, a := range args {
		if plainWord(a, i == 0) {
			quoted[i] = a
			continue
		}
		quoted[i] = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

// plainWord reports whether a shell reads a as itself without quotes. In the first word an
// = would make an assignment, and a word of the shell's own grammar would not be a command.
func plainWord(a string, first bool) bool {
	if a == "" || strings.Trim(a, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./_-") != "" {
		return false
	}
	return !first || !strings.Contains(a, "=") && !slices.Contains(reserved, a)
}

// reserved are the letters-only reserved words of POSIX shells and of bash.
var reserved = strings.Fields("case coproc do done elif else esac fi for function if in select then time until while")
