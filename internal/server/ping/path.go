package ping

import (
	"strings"

	"stint.dev/stint/internal/due"
)

// prefix is where pings are.
const prefix = "/ping/"

// keyLength is the length of a key at the root.
const keyLength = 22

// PathOf returns the path, as the route table has it, of a ping that is sent to another one: with a slash at
// the end, or at the root, as to the hosted Healthchecks. At the root a ping begins with a UUID, or with a text that has the
// length of a key. ok is false for any other path.
func PathOf(path string) (canonical string, ok bool) {
	trimmed := strings.TrimSuffix(path, "/")
	rest, under := strings.CutPrefix(trimmed, prefix)
	if !under {
		rest = strings.TrimPrefix(trimmed, "/")
	}
	parts := strings.SplitN(rest, "/", 4)
	if len(parts) > 3 || parts[len(parts)-1] == "" {
		return "", false
	}
	if under && trimmed == path {
		return "", false
	}
	if under {
		return trimmed, true
	}
	_, err := due.CanonicalUUID(parts[0])
	if err == nil && len(parts) < 3 || isKey(parts[0]) && len(parts) > 1 {
		return prefix + rest, true
	}
	return "", false
}

// IsPath reports whether a path is that of a ping.
func IsPath(path string) bool {
	if strings.HasPrefix(path, prefix) {
		return true
	}
	_, ok := PathOf(path)
	return ok
}

// isKey reports whether a text has the form of a key of Healthchecks, old or new.
func isKey(text string) bool {
	for _, c := range []byte(text) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return len(text) == keyLength
}
