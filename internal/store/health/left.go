package health

import (
	"context"
	"fmt"

	"stint.dev/stint/job"
)

// SettingsLeft names what is set for a job and not for another one: "policy", "expectation".
func (s *Health) SettingsLeft(ctx context.Context, name, other string) (left []string, err error) {
	for _, setting := range []struct{ table, name string }{{"job_policies", "policy"}, {"job_due", "expectation"}} {
		var found bool
		err := s.Reader.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM `+setting.table+` WHERE job = $1)
			AND NOT EXISTS (SELECT 1 FROM `+setting.table+` WHERE job = $2)`, name, other).Scan(&found)
		if err != nil {
			return nil, fmt.Errorf("look up the %s of job %s: %w", setting.name, job.Quote(name), err)
		}
		if found {
			left = append(left, setting.name)
		}
	}
	return left, nil
}
