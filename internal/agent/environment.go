package agent

import (
	"slices"
	"strconv"
	"strings"
)

// tokenName is the variable that opens the server to the agent, and is not for the job.
const tokenName = "STINT_TOKEN"

// reportName is the variable with the address of --report-to, which may hold credentials.
const reportName = "STINT_REPORT_TO"

// parentJobName is the variable by which a stint run inside of a job tells a STINT_JOB that was
// set on purpose from the one of the job around it.
const parentJobName = "STINT_PARENT_JOB"

// jobEnvironment is the environment of every step: the caller's, byte for byte and with names
// that are there twice, without what may open a server, and with what tells the job who it is.
func jobEnvironment(c Config) []string {
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
	return append(WithoutNames(c.Env, not), own...)
}

// WithoutNames is an environment without the variables of these names.
func WithoutNames(env, names []string) []string {
	out := make([]string, 0, len(env)+len(names))
	for _, kv := range env {
		if name, _, _ := strings.Cut(kv, "="); !slices.Contains(names, name) {
			out = append(out, kv)
		}
	}
	return out
}
