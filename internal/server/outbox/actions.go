package outbox

import (
	"context"
	"time"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job/api"
)

type runActionsIn struct {
	Run    string    `path:"run" maxLength:"900" doc:"A run's id, job#number (write # as %23), the name of a job, which is its last run, or another name of a run: docs/api.md." example:"train%2312"`
	Status string    `query:"status" enum:"pending,done,failed,dropped" doc:"Only actions with this status"`
	Since  time.Time `query:"since" doc:"Only those made at this time or later; RFC 3339"`
	Until  time.Time `query:"until" doc:"Only those made before this time; RFC 3339"`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most actions to return"`
	Cursor int64     `query:"cursor" minimum:"0" doc:"next_cursor of the previous page"`
}

type actionsIn struct {
	Status string    `query:"status" enum:"pending,done,failed,dropped" doc:"Only actions with this status"`
	Since  time.Time `query:"since" doc:"Only those made at this time or later; RFC 3339"`
	Until  time.Time `query:"until" doc:"Only those made before this time; RFC 3339"`
	Limit  int       `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most actions to return"`
	Cursor int64     `query:"cursor" minimum:"0" doc:"next_cursor of the previous page"`
}

type actionPage struct {
	Actions    []api.Action `json:"actions" nullable:"false"`
	NextCursor int64        `json:"next_cursor,omitempty" doc:"The cursor of the next page, with older actions; absent on the last page"`
}

// ListRunActions responds with a page of the notifications and actions of one run.
func (s *Outbox) ListRunActions(ctx context.Context, in *runActionsIn) (*route.Response[actionPage], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return s.actions(ctx, query.Actions{Run: id, Status: in.Status, Since: in.Since, Until: in.Until, Limit: in.Limit, Before: in.Cursor})
}

// ListActions responds with a page of the notifications and actions of all runs.
func (s *Outbox) ListActions(ctx context.Context, in *actionsIn) (*route.Response[actionPage], error) {
	return s.actions(ctx, query.Actions{Status: in.Status, Since: in.Since, Until: in.Until, Limit: in.Limit, Before: in.Cursor})
}

// actions responds with a page of actions.
func (s *Outbox) actions(ctx context.Context, q query.Actions) (*route.Response[actionPage], error) {
	limit := q.Limit
	q.Limit++
	actions, err := s.Store.Actions(ctx, q)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list actions", err)
	}
	page := actionPage{Actions: actions}
	if len(actions) > limit {
		page.Actions = actions[:limit]
		page.NextCursor = page.Actions[limit-1].ID
	}
	return route.OK(page)
}
