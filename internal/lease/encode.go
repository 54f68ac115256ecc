package lease

import (
	"encoding/json"

	"stint.dev/stint/job"
)

// Encode returns a heartbeat as JSON, as a run's row has it; an empty object if a figure is not a number.
func Encode(hb job.Heartbeat) string {
	text, err := json.Marshal(hb)
	if err != nil {
		return "{}"
	}
	return string(text)
}
