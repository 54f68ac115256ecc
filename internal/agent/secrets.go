package agent

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/job"
)

// secretsOf is what is masked in the attempt, nil for nothing, and what there is to say
// about it.
func secretsOf(c Config) (*redact.Set, []string) {
	found := redact.Find(jobEnvironment(c), redact.Choice{Also: c.Redact, Except: c.NoRedact, Exists: fileExists()})
	values := append(found.Values, redact.Parts(c.Token)...)
	values = append(values, redact.URLCredentials(c.ReportURL)...)
	for _, kv := range c.Env { // what the job's environment does not have
		if token, ok := strings.CutPrefix(kv, tokenName+"="); ok {
			values = append(values, redact.Parts(token)...)
		}
		if address, ok := strings.CutPrefix(kv, reportName+"="); ok {
			values = append(values, redact.URLCredentials(address)...)
		}
	}
	var said []string
	say := func(names []string, format string) {
		if len(names) > 0 {
			said = append(said, fmt.Sprintf(format, namesText(names)))
		}
	}
	say(found.Names, "masked as "+redact.Mark+" wherever it appears: the value of %s")
	say(found.Short, fmt.Sprintf("not masked, because it is shorter than %d bytes: the value of %%s", redact.MinLength))
	say(found.Unknown, "--redact names what the job's environment does not have: %s")
	return redact.NewSet(values), said
}

// existsLimit bounds the look for a file before the job starts.
const existsLimit = 500 * time.Millisecond

// fileExists returns what reports whether there is a file. Once a file system has not answered,
// no other is asked.
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

// shownCommand is a step's command line in the journal. It is masked before it is quoted
// and cut, which could leave a part of a value that nobody recognises.
func shownCommand(secrets *redact.Set, s step) string {
	if s.kind == job.InstallStep {
		return shorten(secrets.String(s.args[len(s.args)-1])) // sh -c COMMAND
	}
	return shorten(job.CommandLine(secrets.Strings(s.args)))
}
