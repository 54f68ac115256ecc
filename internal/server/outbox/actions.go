package outbox

import (
	"context"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

type runActionsIn struct {
	Run    string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most actions to return"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type actionsIn struct {
	Status string `query:"status" enum:"pending,done,failed,dropped" doc:"Only actions with this status"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most actions to return"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type actionPage struct {
	Actions    []job.Action `json:"actions" nullable:"false"`
	NextCursor int64        `json:"next_cursor,omitempty" doc:"Pass it as cursor for older actions; not there on the last page"`
}

// ListRunActions answers what was sent and done because of one run.
func (s *Outbox) ListRunActions(ctx context.Context, in *runActionsIn) (*route.Answer[actionPage], error) {
	id, err := s.FindRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return s.actions(ctx, query.Actions{Run: id, Limit: in.Limit, Before: in.Cursor})
}

// ListActions answers the same over all runs.
func (s *Outbox) ListActions(ctx context.Context, in *actionsIn) (*route.Answer[actionPage], error) {
	return s.actions(ctx, query.Actions{Status: in.Status, Limit: in.Limit, Before: in.Cursor})
}

func (s *Outbox) actions(ctx context.Context, q query.Actions) (*route.Answer[actionPage], error) {
	limit := q.Limit
	q.Limit++
	actions, err := s.Store.Actions(ctx, q)
	if err != nil {
		return nil, s.Internal(ctx, "list actions", err)
	}
	page := actionPage{Actions: actions}
	if len(actions) > limit {
		page.Actions = actions[:limit]
		page.NextCursor = page.Actions[limit-1].ID
	}
	return route.OK(page)
}
