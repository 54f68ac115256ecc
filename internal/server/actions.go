package server

import (
	"context"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/route"
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
func (s *Server) actionRoutes() []route.Row {
	const (
		run    = "/api/v1/runs/{run}"
		routes = "/api/v1/routes"
	)
	return []route.Row{
		{Method: "GET", Pattern: run + "/actions", Scope: access.Read, Typed: route.Typed(s.listRunActions), Summary: "List notifications and actions of a run, newest first"},
		{Method: "GET", Pattern: "/api/v1/actions", Scope: access.Read, Typed: route.Typed(s.listActions), Summary: "List notifications and actions of all runs, newest first"},
		{Method: "GET", Pattern: run + "/retry", Scope: access.Read, Typed: route.Typed(s.getRetry), Summary: "Get whether a run can be retried, and the command that starts its job again"},
		{Method: "POST", Pattern: run + "/retry", Scope: access.Write, Typed: route.Typed(s.retryRun), Summary: "Ask the waiting agent of a run that has ended for another attempt"},
		{Method: "POST", Pattern: run + "/acknowledge", Scope: access.Write, Typed: route.Typed(s.acknowledgeRun), Summary: "Acknowledge the failure or finding of a run, so that nobody is notified again"},
		{Method: "DELETE", Pattern: run + "/acknowledge", Scope: access.Write, Typed: route.Typed(s.unacknowledgeRun), Summary: "Take the acknowledgement of a run back"},
		{Method: "GET", Pattern: routes, Scope: access.Admin, Typed: route.Typed(s.listRoutes), Summary: "List the routes of notifications"},
		{Method: "PUT", Pattern: routes + "/{name}", Scope: access.Admin, Typed: route.Typed(s.putRoute), Summary: "Set a route of notifications"},
		{Method: "DELETE", Pattern: routes + "/{name}", Scope: access.Admin, Typed: route.Typed(s.deleteRoute), Summary: "Delete a route of notifications"},
		{Method: "POST", Pattern: routes + "/{name}/test", Scope: access.Admin, Typed: route.Typed(s.testRoute), Summary: "Send a test message through a route, at once"},
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
func (s *Server) listRunActions(ctx context.Context, in *runActionsIn) (*route.Answer[actionPage], error) {
	id, err := s.findRun(ctx, in.Run)
	if err != nil {
		return nil, err
	}
	return s.actions(ctx, query.Actions{Run: id, Limit: in.Limit, Before: in.Cursor})
}

// listActions answers the same over all runs.
func (s *Server) listActions(ctx context.Context, in *actionsIn) (*route.Answer[actionPage], error) {
	return s.actions(ctx, query.Actions{Status: in.Status, Limit: in.Limit, Before: in.Cursor})
}

func (s *Server) actions(ctx context.Context, q query.Actions) (*route.Answer[actionPage], error) {
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
	return route.OK(page)
}
