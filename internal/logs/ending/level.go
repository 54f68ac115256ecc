package ending

import (
	"slices"
	"strings"
)

// level is the level of a line of a structured log.
type level int

const (
	noLevel    level = iota
	otherLevel       // no error
	errorLevel
)

var levelField = newPattern(`(^|[\s{,"@._-])(level|lvl|severity|levelname|level_name|loglevel|log_level)"?\s*[=:]\s*"?([a-z]+|\d\d)\b`)

var (
	errorLevels = []string{"error", "err", "fatal", "critical", "crit", "panic", "dpanic", "alert", "emergency", "emerg", "severe", "failure"}
	otherLevels = []string{"trace", "verbose", "debug", "info", "information", "informational", "notice", "warn", "warning"}
)

// levelOf returns the level in a field of a lower-case line:
// {"level":"error"}, level=info, or Pino's and Bunyan's numbers.
func levelOf(low string) level {
	if !levelField.match(low) {
		return noLevel
	}
	name := levelField.regexp().FindStringSubmatch(low)[3]
	switch number := name[0] <= '9'; {
	case slices.Contains(errorLevels, name), number && name >= "50":
		return errorLevel
	case slices.Contains(otherLevels, name), number:
		return otherLevel
	}
	return noLevel
}

// withoutStamp returns a line without the date and time that log collectors add in front of it:
// "2026-11-28T10:00:00.123Z ", "[2026/11/28 10:00:00,1] ".
func withoutStamp(s string) string {
	const shape = "dddd-dd-ddTdd:dd:dd"
	rest, bracket := strings.CutPrefix(s, "[")
	if len(rest) < len(shape) {
		return s
	}
	for i := range len(shape) {
		c := rest[i]
		switch shape[i] {
		case 'd':
			if c < '0' || c > '9' {
				return s
			}
		case '-':
			if c != '-' && c != '/' {
				return s
			}
		case 'T':
			if c != 'T' && c != ' ' {
				return s
			}
		default:
			if c != shape[i] {
				return s
			}
		}
	}
	rest = strings.TrimLeft(rest[len(shape):], "0123456789.,:+-Z") // fraction and zone
	if bracket {
		if rest, bracket = strings.CutPrefix(rest, "]"); !bracket {
			return s
		}
	}
	if rest == "" {
		return rest
	}
	if after, ok := strings.CutPrefix(rest, " "); ok {
		return after
	}
	return s
}
