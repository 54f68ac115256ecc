package outbox

import (
	"context"
	"errors"
	"net/http"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// Notifier is what the server needs of the outbox's worker, to set up routes.
type Notifier interface {
	// CheckRoute refuses a route that could not work, with place and reason. It does not
	// use the network.
	CheckRoute(r job.Route) error
	// ShowRoute is a route without its secrets.
	ShowRoute(r job.Route) job.Route
	// TestRoute sends a message through a route at once.
	TestRoute(ctx context.Context, r job.Route) error
}

type routeList struct {
	Routes []job.Route `json:"routes" nullable:"false"`
}

// notifier is the worker, or a problem where there is none.
func (s *Outbox) notifier() (Notifier, error) {
	if s.Notifier == nil {
		return nil, httpio.NewProblem(http.StatusNotImplemented, "this server sends no notifications")
	}
	return s.Notifier, nil
}

// ListRoutes answers every route, without secrets.
func (s *Outbox) ListRoutes(ctx context.Context, _ *struct{}) (*route.Answer[routeList], error) {
	n, err := s.notifier()
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Deliveries(ctx)
	if err != nil {
		return nil, s.Internal(ctx, "list routes", err)
	}
	out := routeList{Routes: []job.Route{}}
	for _, d := range all {
		out.Routes = append(out.Routes, n.ShowRoute(d.Route))
	}
	return route.OK(out)
}

// routeBody is a route as it is set. What is left out is empty, and enabled is true.
type routeBody struct {
	_             struct{}        `additionalProperties:"false"`
	Name          string          `json:"name,omitempty" maxLength:"100" doc:"The same as in the path, or left out."`
	URL           string          `json:"url" maxLength:"4000" doc:"https://… for a signed webhook, smtp://… for e-mail, or a chat's service URL (slack://…, ntfy://…). As it is shown, with asterisks, it stays what it was."`
	Secret        string          `json:"secret,omitempty" maxLength:"500" doc:"Signs webhooks: whsec_ and base64. Left out, it stays what it was. It is never shown."`
	Match         matchBody       `json:"match,omitempty"`
	Quiet         *job.QuietHours `json:"quiet,omitempty" doc:"Hours in which nothing is sent; what was held is sent in one message at their end."`
	GroupSeconds  int64           `json:"group_seconds,omitempty" doc:"How long the first message waits for others, to be sent as one."`
	RepeatSeconds int64           `json:"repeat_seconds,omitempty" doc:"After how long a notification is repeated that nobody acknowledged; 0 for never."`
	Enabled       *bool           `json:"enabled,omitempty" doc:"false keeps the route and sends nothing new to it; true if left out."`
	ChangedAt     string          `json:"changed_at,omitempty" doc:"Ignored, so that a route can be set as it was shown."`
	Error         string          `json:"error,omitempty" doc:"Ignored, as changed_at."`
}

type matchBody struct {
	_        struct{}          `additionalProperties:"false"`
	Job      string            `json:"job,omitempty" doc:"A glob of job names: *, ? and [a-z]."`
	Labels   map[string]string `json:"labels,omitempty" doc:"Labels that the run must have."`
	Severity job.Health        `json:"severity,omitempty" enum:"warning,critical" doc:"The least severity."`
	Events   []string          `json:"events,omitempty" doc:"What it wants to hear of: failed, timed_out, lost, canceled, succeeded, late, healed, recovered, network, or the rule of a finding. Empty for every trouble."`
}

type putRouteIn struct {
	Name string `path:"name" maxLength:"100" doc:"The route's name." example:"team-chat"`
	Body routeBody
}

// PutRoute sets a route, new or changed. What makes no sense is refused now, with place
// and reason, and not when somebody should be notified.
func (s *Outbox) PutRoute(ctx context.Context, in *putRouteIn) (*route.Answer[job.Route], error) {
	n, err := s.notifier()
	if err != nil {
		return nil, err
	}
	b := &in.Body
	if b.Name != "" && b.Name != in.Name {
		return nil, httpio.NewProblem(http.StatusUnprocessableEntity, "name: %s is not the name in the path, %s", job.Quote(b.Name), job.Quote(in.Name))
	}
	r := job.Route{
		Name: in.Name, URL: b.URL, Secret: b.Secret, Quiet: b.Quiet,
		Match:        job.RouteMatch{Job: b.Match.Job, Labels: b.Match.Labels, Severity: b.Match.Severity, Events: b.Match.Events},
		GroupSeconds: b.GroupSeconds, RepeatSeconds: b.RepeatSeconds, Enabled: b.Enabled == nil || *b.Enabled,
		ChangedAt: s.Now().UTC(),
	}
	before, err := s.Store.Route(ctx, in.Name)
	var missing *query.NotFoundError
	switch {
	case errors.As(err, &missing):
	case err != nil:
		return nil, s.Internal(ctx, "read route "+job.Quote(in.Name), err)
	case before.Error != "": // nothing is known that could be kept
	default:
		r = keepSecrets(r, before, n.ShowRoute(before))
	}
	if err := n.CheckRoute(r); err != nil {
		return nil, httpio.NewProblem(http.StatusUnprocessableEntity, "%s", err)
	}
	if err := s.Store.SetRoute(ctx, r); err != nil {
		return nil, s.Internal(ctx, "set route "+in.Name, err)
	}
	return route.OK(n.ShowRoute(r))
}

// keepSecrets takes over what whoever sets a route has not seen. The secret of one URL is
// never used for another.
func keepSecrets(r, before, shown job.Route) job.Route {
	if r.URL == shown.URL {
		r.URL = before.URL
	}
	if r.Secret == "" && r.URL == before.URL {
		r.Secret = before.Secret
	}
	return r
}

type routePath struct {
	Name string `path:"name" maxLength:"100" doc:"The route's name." example:"team-chat"`
}

// DeleteRoute deletes a route; what waits for it is dropped.
func (s *Outbox) DeleteRoute(ctx context.Context, in *routePath) (*struct{}, error) {
	if err := s.Store.DeleteRoute(ctx, in.Name, s.Now().UTC()); err != nil {
		return nil, s.Internal(ctx, "delete route "+job.Quote(in.Name), err)
	}
	return nil, nil
}

type testAnswer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty" doc:"Why the receiver has not taken the message."`
}

// TestRoute sends a test message and answers how that went.
func (s *Outbox) TestRoute(ctx context.Context, in *routePath) (*route.Answer[testAnswer], error) {
	n, err := s.notifier()
	if err != nil {
		return nil, err
	}
	if s.Copied {
		return nil, httpio.NewProblem(http.StatusConflict, "this server works on a restored copy and sends nothing; start it with --activate to make it the original")
	}
	r, err := s.Store.Route(ctx, in.Name)
	if err != nil {
		return nil, s.Internal(ctx, "read route "+job.Quote(in.Name), err)
	}
	if r.Error != "" {
		return route.OK(testAnswer{Error: r.Error})
	}
	if err := n.TestRoute(ctx, r); err != nil {
		return route.OK(testAnswer{Error: err.Error()})
	}
	return route.OK(testAnswer{OK: true})
}
