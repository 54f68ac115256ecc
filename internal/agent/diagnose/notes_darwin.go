package diagnose

import (
	"context"
	"fmt"
	"strings"

	"stint.dev/stint/internal/agent/text"
	"stint.dev/stint/journal"
)

// Notes names the processes: macOS lets no program without special rights see what another
// one waits for.
func Notes(_ context.Context, members Members) []journal.Note {
	all, err := members()
	if err != nil {
		return []journal.Note{{Text: "no diagnosis before the stop: " + err.Error()}}
	}
	var names []string
	for _, m := range all[:min(len(all), maxProcesses)] {
		names = append(names, fmt.Sprintf("%s pid %d (%s)", m.Name, m.PID, m.State))
	}
	return []journal.Note{{Text: text.Clean(fmt.Sprintf("diagnosis before the stop: %d processes: %s. What they wait for is not known: on macOS the agent can only list them", len(all), strings.Join(names, ", ")), maxLine)}}
}
