// Package environment makes the environment of the job, and says what of it the journal names
// and masks.
package environment

import (
	"slices"
	"strconv"
	"strings"
)

// tokenName is the variable with the agent's access to the server, which is not for the job.
const tokenName = "STINT_TOKEN"

// reportName is the variable with the address of --report-to, which may hold credentials.
const reportName = "STINT_REPORT_TO"

// parentJobName is the variable by which a stint run inside of a job recognises the STINT_JOB of
// the job around it, as against one that was set on purpose.
const parentJobName = "STINT_PARENT_JOB"

// maxNames bounds the bytes of names in the journal.
const maxNames = 8 << 10

// Config says what the environment of an attempt is made of.
type Config struct {
	Caller    []string // the caller's environment, as NAME=VALUE
	Run       string
	Job       string
	Attempt   int
	ServerURL string // empty for none

	Redact    []string // names of variables whose values are masked, besides those that look secret
	NoRedact  []string // names whose values are not masked; "*" is all
	Token     string   // always masked, as the credentials in ReportURL are
	ReportURL string
}

// Of returns the environment of every step: the caller's, byte for byte and with names that are
// there twice, without what gives access to a server, and with the names of run and job.
func Of(c Config) []string {
	own := []string{
		"STINT_RUN_ID=" + c.Run,
		"STINT_JOB=" + c.Job,
		parentJobName + "=" + c.Job,
		"STINT_ATTEMPT=" + strconv.Itoa(c.Attempt),
	}
	if c.ServerURL != "" {
		own = append(own, "STINT_SERVER="+c.ServerURL)
	}
	not := []string{tokenName, reportName}
	for _, kv := range own {
		name, _, _ := strings.Cut(kv, "=")
		not = append(not, name)
	}
	return append(Without(c.Caller, not), own...)
}

// Without returns an environment without the variables of these names.
func Without(env, names []string) []string {
	out := make([]string, 0, len(env)+len(names))
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(names, name) {
			out = append(out, kv)
		}
	}
	return out
}

// Value returns the value of a variable, the first if the name is there twice; empty for none.
func Value(env []string, name string) string {
	for _, kv := range env {
		if value, found := strings.CutPrefix(kv, name+"="); found {
			return value
		}
	}
	return ""
}

// Names returns the names of all variables, sorted, each once, with one space between them.
func Names(env []string) string {
	names := make([]string, 0, len(env))
	size := 0
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if name == "" || strings.ContainsAny(name, " \n") {
			continue
		}
		if size += len(name) + 1; size > maxNames {
			break
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}
