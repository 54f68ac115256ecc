package outbox

import (
	"context"
	"errors"
	"net/http"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// Notifier checks and tests routes. The worker of the outbox implements it.
type Notifier interface {
	// CheckRoute returns an error, with the field and the reason, for a route that cannot work. It does
	// not use the network.
	CheckRoute(r api.Route) error
	// ShowRoute returns a route without its secrets.
	ShowRoute(r api.Route) api.Route
	// TestRoute sends a message through a route at once.
	TestRoute(ctx context.Context, r api.Route) error
}

type routeList struct {
	Routes []api.Route `json:"routes" nullable:"false"`
}

// notifier returns the Notifier, or a problem if there is none.
func (s *Outbox) notifier() (Notifier, error) {
	if s.Notifier == nil {
		return nil, httpio.NewProblem(http.StatusNotImplemented, "this server sends no notifications")
	}
	return s.Notifier, nil
}

// ListRoutes responds with all routes, without secrets.
func (s *Outbox) ListRoutes(ctx context.Context, _ *struct{}) (*route.Response[routeList], error) {
	n, err := s.notifier()
	if err != nil {
		return nil, err
	}
	all, err := s.Store.Deliveries(ctx)
	if err != nil {
		return nil, s.ProblemOf(ctx, "list routes", err)
	}
	out := routeList{Routes: []api.Route{}}
	for _, d := range all {
		out.Routes = append(out.Routes, n.ShowRoute(d.Route))
	}
	return route.OK(out)
}

// routeBody is a route as it is set. Absent fields are empty, and enabled is true by default.
type routeBody struct {
	_             struct{}        `additionalProperties:"false"`
	Name          string          `json:"name,omitempty" maxLength:"100" doc:"The name in the path, or absent."`
	URL           string          `json:"url" maxLength:"4000" doc:"https://… for a signed webhook, smtp://… for e-mail, or the service URL of a chat (slack://…, ntfy://…). The URL as it is shown, with asterisks, keeps the present one."`
	Secret        string          `json:"secret,omitempty" maxLength:"500" doc:"The secret that signs webhooks: whsec_ and base64. If absent, the present one is kept. It is never shown."`
	Match         matchBody       `json:"match,omitempty"`
	Quiet         *api.QuietHours `json:"quiet,omitempty" doc:"Hours in which nothing is sent; at their end all notifications are sent in one message."`
	GroupSeconds  int64           `json:"group_seconds,omitempty" doc:"How long the first notification waits for others, to be sent in one message."`
	RepeatSeconds int64           `json:"repeat_seconds,omitempty" doc:"After how long a notification is repeated that nobody has acknowledged; 0 for never."`
	Enabled       *bool           `json:"enabled,omitempty" doc:"false: the route is kept, and nothing new is sent through it. The default is true."`
	ChangedAt     string          `json:"changed_at,omitempty" doc:"Ignored, so that a route can be set as it is shown."`
	Error         string          `json:"error,omitempty" doc:"Ignored, like changed_at."`
}

type matchBody struct {
	_        struct{}          `additionalProperties:"false"`
	Job      string            `json:"job,omitempty" doc:"A glob pattern of job names, with *, ? and [a-z]."`
	Labels   map[string]string `json:"labels,omitempty" doc:"Labels that the run must have."`
	Severity job.Health        `json:"severity,omitempty" enum:"warning,critical" doc:"The lowest severity."`
	Events   []string          `json:"events,omitempty" doc:"The events: failed, timed_out, lost, canceled, succeeded, late, healed, recovered, network, or the rule of a finding. Empty for all problems."`
}

type putRouteIn struct {
	Name string `path:"name" maxLength:"100" doc:"The route's name." example:"team-chat"`
	Body routeBody
}

// PutRoute creates or changes a route. It refuses a route that cannot work, so that the error does not
// appear when somebody should be notified.
func (s *Outbox) PutRoute(ctx context.Context, in *putRouteIn) (*route.Response[api.Route], error) {
	n, err := s.notifier()
	if err != nil {
		return nil, err
	}
	b := &in.Body
	if b.Name != "" && b.Name != in.Name {
		return nil, httpio.NewProblem(http.StatusUnprocessableEntity, "name: %s differs from the name in the path, %s", job.Quote(b.Name), job.Quote(in.Name))
	}
	r := api.Route{
		Name: in.Name, URL: b.URL, Secret: b.Secret, Quiet: b.Quiet,
		Match:        api.RouteMatch{Job: b.Match.Job, Labels: b.Match.Labels, Severity: b.Match.Severity, Events: b.Match.Events},
		GroupSeconds: b.GroupSeconds, RepeatSeconds: b.RepeatSeconds, Enabled: b.Enabled == nil || *b.Enabled,
		ChangedAt: s.Now().UTC(),
	}
	before, err := s.Store.Route(ctx, in.Name)
	var missing *query.NotFoundError
	switch {
	case errors.As(err, &missing):
	case err != nil:
		return nil, s.ProblemOf(ctx, "read route "+job.Quote(in.Name), err)
	case before.Error != "": // its secrets cannot be read
	default:
		r = keepSecrets(r, before, n.ShowRoute(before))
	}
	if err := n.CheckRoute(r); err != nil {
		return nil, httpio.NewProblem(http.StatusUnprocessableEntity, "%s", err)
	}
	if err := s.Store.SetRoute(ctx, r); err != nil {
		return nil, s.ProblemOf(ctx, "set route "+in.Name, err)
	}
	return route.OK(n.ShowRoute(r))
}

// keepSecrets returns r with the URL and secret of the route before it, where r has them as they are shown.
// The secret of one URL is never used for another.
func keepSecrets(r, before, shown api.Route) api.Route {
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

// DeleteRoute deletes a route with the notifications that wait for it.
func (s *Outbox) DeleteRoute(ctx context.Context, in *routePath) (*struct{}, error) {
	if err := s.Store.DeleteRoute(ctx, in.Name, s.Now().UTC()); err != nil {
		return nil, s.ProblemOf(ctx, "delete route "+job.Quote(in.Name), err)
	}
	return nil, nil
}

type testAnswer struct {
	OK    bool   `json:"ok"`
	Error string `json:"error,omitempty" doc:"Why the receiver has not accepted the message."`
}

// TestRoute sends a test message, and responds with the result.
func (s *Outbox) TestRoute(ctx context.Context, in *routePath) (*route.Response[testAnswer], error) {
	n, err := s.notifier()
	if err != nil {
		return nil, err
	}
	if s.Copied {
		return nil, httpio.NewProblem(http.StatusConflict, "the database of this server is a restored copy, so it sends nothing; start it with --activate to make it the original")
	}
	r, err := s.Store.Route(ctx, in.Name)
	if err != nil {
		return nil, s.ProblemOf(ctx, "read route "+job.Quote(in.Name), err)
	}
	if r.Error != "" {
		return route.OK(testAnswer{Error: r.Error})
	}
	if err := n.TestRoute(ctx, r); err != nil {
		return route.OK(testAnswer{Error: err.Error()})
	}
	return route.OK(testAnswer{OK: true})
}
