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

// jobEnvironment is the environment of every step: the caller's without the token, and
// what tells the job who it is. Of a name given twice the last value counts, as a shell
// would have it; the first place is kept.
func jobEnvironment(c Config) []string {
	given := slices.Concat(c.Env, []string{
		"STINT_RUN_ID=" + c.Run,
		"STINT_JOB=" + c.Job,
		"STINT_ATTEMPT=" + strconv.Itoa(c.Attempt),
	})
	if c.ServerURL != "" {
		given = append(given, "STINT_SERVER="+c.ServerURL)
	}
	place := make(map[string]int, len(given))
	out := make([]string, 0, len(given))
	for _, kv := range given {
		name, _, _ := strings.Cut(kv, "=")
		if name == tokenName {
			continue
		}
		if i, seen := place[name]; seen && name != "" {
			out[i] = kv
			continue
		}
		place[name] = len(out)
		out = append(out, kv)
	}
	return out
}
