package worker

import (
	"encoding/json"
	"fmt"
	"io"

	"stint.dev/stint/job"
)

// The descriptors of an agent that a worker starts.
const (
	// SettingsFD is where the agent reads its Settings.
	SettingsFD = 3
	// ReportFD is where the agent writes why it could not start the attempt; nothing if it has
	// asked the server for the permit.
	ReportFD = 4
)

// mostSettings bounds the text of Settings.
const mostSettings = 8 << 20

// Settings is what a worker hands to an agent: all that it needs, and nothing else decides. The
// worker's own token is not among it: the claim's is enough to ask for the permit.
type Settings struct {
	Claim  job.Claim `json:"claim"`
	Worker string    `json:"worker"` // its name
	// Until is when the claim ends, by clock.SinceBoot, in nanoseconds.
	Until int64 `json:"until"`
	// Variables lead to the server and to the state directory: names and values as they would
	// appear in the environment.
	Variables map[string]string `json:"variables"`
	// Environment is that of the job, as NAME=VALUE, without what the claim adds.
	Environment []string `json:"environment"`
	// Dir is where the job runs if the claim names no directory.
	Dir string `json:"dir"`
}

// ReadSettings reads the settings of an agent.
func ReadSettings(r io.Reader) (s Settings, err error) {
	text, err := io.ReadAll(io.LimitReader(r, mostSettings+1))
	switch {
	case err != nil:
		return s, fmt.Errorf("read the claim: %w", err)
	case len(text) > mostSettings:
		return s, fmt.Errorf("read the claim: it has more than %s", job.Bytes(mostSettings))
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("read the claim: %w", err)
	}
	return s, nil
}
