package environment

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/redact"
)

// Secrets returns what is masked in the attempt, nil for nothing, and notes for people about it.
func Secrets(c Config) (secrets *redact.Set, notes []string) {
	found := redact.Find(Of(c), redact.Options{Also: c.Redact, Except: c.NoRedact, Exists: fileExists()})
	values := append(found.Values, redact.Parts(c.Token)...)
	values = append(values, redact.URLCredentials(c.ReportURL)...)
	for _, kv := range c.Caller { // what the job's environment does not have
		if token, ok := strings.CutPrefix(kv, tokenName+"="); ok {
			values = append(values, redact.Parts(token)...)
		}
		if address, ok := strings.CutPrefix(kv, reportName+"="); ok {
			values = append(values, redact.URLCredentials(address)...)
		}
	}
	note := func(names []string, format string) {
		if len(names) > 0 {
			notes = append(notes, fmt.Sprintf(format, namesText(names)))
		}
	}
	note(found.Names, "masked as "+redact.Mark+" wherever it appears: the value of %s")
	note(found.Short, fmt.Sprintf("not masked, because it is shorter than %d bytes: the value of %%s", redact.MinLength))
	note(found.Unknown, "--redact names what the job's environment does not have: %s")
	return redact.NewSet(values), notes
}

// existsLimit bounds the search for a file before the job starts.
const existsLimit = 500 * time.Millisecond

// fileExists returns a function that reports whether a file exists. Once a file system has not
// answered, no other is asked.
func fileExists() func(path string) bool {
	dead := false
	return func(path string) bool {
		if dead {
			return false
		}
		_, err := bounded.Call(existsLimit, func() (os.FileInfo, error) { return os.Lstat(path) })
		var late *bounded.NoAnswerError
		dead = errors.As(err, &late)
		return err == nil
	}
}

func namesText(names []string) string {
	const most = 50
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}
