package server

import (
	"context"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/job"
)

// outboxStore is what the server needs of notifications and actions.
type outboxStore interface {
	// Actions returns outbox rows, newest first.
	Actions(ctx context.Context, q query.Actions) ([]job.Action, error)
	// Deliveries returns every route with its secret; Route one of them.
	Deliveries(ctx context.Context) ([]outbox.Delivery, error)
	Route(ctx context.Context, name string) (job.Route, error)
	SetRoute(ctx context.Context, r job.Route) error
	DeleteRoute(ctx context.Context, name string, now time.Time) error
	// RequestRetry asks the agent of a run that has ended for an attempt after the given one
	// (0: the last one); the error is also *outbox.NoRetryError.
	RequestRetry(ctx context.Context, run string, attempt int, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
	// Acknowledge records that a person knows what is wrong with a run.
	Acknowledge(ctx context.Context, run, by, why string, now time.Time) (job.Run, []job.RunEvent, error)
	// Unacknowledge takes that back. Without an acknowledgement nothing changes.
	Unacknowledge(ctx context.Context, run, by string, now time.Time) (job.Run, []job.RunEvent, error)
}

// actionRoutes are the rows about notifications and actions.
func (s *Server) actionRoutes() []route {
	const (
		run    = "/api/v1/runs/{run}"
		routes = "/api/v1/routes"
	)
	return []route{
		{method: "GET", pattern: run + "/actions", scope: access.Read, rest: rest(s.listRunActions), summary: "List notifications and actions of a run, newest first"},
		{method: "GET", pattern: "/api/v1/actions", scope: access.Read, rest: rest(s.listActions), summary: "List notifications and actions of all runs, newest first"},
		{method: "GET", pattern: run + "/retry", scope: access.Read, rest: rest(s.getRetry), summary: "Get whether a run can be retried, and the command that starts its job again"},
		{method: "POST", pattern: run + "/retry", scope: access.Write, rest: rest(s.retryRun), summary: "Ask the waiting agent of a run that has ended for another attempt"},
		{method: "POST", pattern: run + "/acknowledge", scope: access.Write, rest: rest(s.acknowledgeRun), summary: "Acknowledge the failure or finding of a run, so that nobody is notified again"},
		{method: "DELETE", pattern: run + "/acknowledge", scope: access.Write, rest: rest(s.unacknowledgeRun), summary: "Take the acknowledgement of a run back"},
		{method: "GET", pattern: routes, scope: access.Admin, rest: rest(s.listRoutes), summary: "List the routes of notifications"},
		{method: "PUT", pattern: routes + "/{name}", scope: access.Admin, rest: rest(s.putRoute), summary: "Set a route of notifications"},
		{method: "DELETE", pattern: routes + "/{name}", scope: access.Admin, rest: rest(s.deleteRoute), summary: "Delete a route of notifications"},
		{method: "POST", pattern: routes + "/{name}/test", scope: access.Admin, rest: rest(s.testRoute), summary: "Send a test message through a route, at once"},
	}
}

type runActionsIn struct {
	Run    string `path:"run" maxLength:"900" doc:"A run's id, 4 or more of its first characters, or job#number (write # as %23)." example:"train%2312"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most actions to return"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type actionsIn struct {
	Status string `query:"status" enum:"pending,done,failed,dropped" doc:"Only actions that stand like this"`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"The most actions to return"`
	Cursor int64  `query:"cursor" minimum:"0" doc:"next_cursor of the page before"`
}

type actionPage struct {
	Actions    []job.Action `json:"actions" nullable:"false"`
	NextCursor int64        `json:"next_cursor,omitempty" doc:"Pass it as cursor for older actions; not there on the last page"`
}

// listRunActions answers what was told and done because of one run.
func (s *Server) listRunActions(ctx context.Context, in *runActionsIn) (*answered[actionPage], error) {
	id, err := s.findRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return s.actions(ctx, query.Actions{Run: id, Limit: in.Limit, Before: in.Cursor})
}

// listActions answers the same over all runs.
func (s *Server) listActions(ctx context.Context, in *actionsIn) (*answered[actionPage], error) {
	return s.actions(ctx, query.Actions{Status: in.Status, Limit: in.Limit, Before: in.Cursor})
}

func (s *Server) actions(ctx context.Context, q query.Actions) (*answered[actionPage], error) {
	limit := q.Limit
	q.Limit++
	actions, err := s.store.Actions(ctx, q)
	if err != nil {
		return nil, s.internal(ctx, "list actions", err)
	}
	page := actionPage{Actions: actions}
	if len(actions) > limit {
		page.Actions = actions[:limit]
		page.NextCursor = page.Actions[limit-1].ID
	}
	return &answered[actionPage]{page}, nil
}
