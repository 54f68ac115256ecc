package intake

import (
	"context"
	"fmt"
	"strings"

	"stint.dev/stint/internal/crontab"
	"stint.dev/stint/internal/index"
)

// nameNotice returns a sentence about settings of the job that a command was in earlier versions, at the first run
// under its name of now, and logs it; nothing if there are none.
func (s *Intake) nameNotice(ctx context.Context, done index.Appended) string {
	if !done.NewJob {
		return ""
	}
	name := done.Run.Job
	before := crontab.EarlierName(done.Run.Args, name)
	if before == "" {
		return ""
	}
	left, err := s.Store.SettingsLeft(ctx, before, name)
	if err != nil {
		s.Log.Warn("look up the settings of an earlier name of a job failed", "job", name, "before", before, "error", err)
		return ""
	}
	if len(left) == 0 {
		return ""
	}
	what := strings.Join(left, ", ")
	s.Log.Warn("a job has a new name, and its settings are those of the old one", "job", name, "before", before, "set", what, "run", done.Run.ID)
	return fmt.Sprintf("this command was job %s before; what is set for that job (%s) does not apply to job %s: set it for %s, or keep the name with --job %s", before, what, name, name, before)
}
