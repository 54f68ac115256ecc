package notifycmd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/notify"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// notify manages the routes of notifications.
func (p *program) notify() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "notify",
		Short: "Set up notifications: webhooks, e-mail, chats",
		Long: `Set up notifications. A route has the URL of a receiver and the events that it receives:
https://… for a webhook (signed as Standard Webhooks), smtp://… for e-mail, and the service URLs
of chats, such as slack://…, teams://…, discord://…, ntfy://….`,
	}, p.notifyList(), p.notifySet(), p.notifyDelete(), p.notifyTest(), p.log())
}

func oneName(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs the NAME of one route", cmd.CommandPath())
	}
	return nil
}

func (p *program) notifyList() *cobra.Command {
	type list struct {
		Routes []api.Route `json:"routes"`
	}
	return command.Reply(p.Program, &cobra.Command{Use: "list [flags]", Short: "List the routes", Args: command.NoArgs}, nil,
		func(ctx context.Context, r command.Request) (list, error) {
			routes, err := r.Routes(ctx)
			return list{routes}, err
		}, func(l list) string { return p.routesTable(l.Routes) })
}

func (p *program) routesTable(routes []api.Route) string {
	if len(routes) == 0 {
		p.Say("there are no routes, so no notification is sent; make one with: stint notify set NAME --url URL")
		return ""
	}
	var rows [][]console.Cell
	for _, r := range routes {
		rows = append(rows, []console.Cell{console.T(r.Name), console.T(r.URL), console.T(matchText(r)), console.T(paceText(r))})
		if r.Error != "" {
			p.Say("%s", console.Clean(r.Error))
		}
	}
	return p.Table([]console.Column{{Head: "NAME", Min: 8}, {Head: "RECEIVER", Min: 20}, {Head: "TAKES", Min: 12}, {Head: "HOW", Min: 12}}, rows)
}

// matchText describes the messages that a route takes.
func matchText(r api.Route) string {
	var parts []string
	if len(r.Match.Events) > 0 {
		parts = append(parts, strings.Join(r.Match.Events, ", "))
	}
	if r.Match.Severity != "" {
		parts = append(parts, string(r.Match.Severity))
	}
	if r.Match.Job != "" {
		parts = append(parts, "jobs "+r.Match.Job)
	}
	for k, v := range r.Match.Labels {
		parts = append(parts, k+"="+v)
	}
	if len(parts) == 0 {
		return "every problem"
	}
	return strings.Join(parts, "; ")
}

// paceText describes when a route is sent messages.
func paceText(r api.Route) string {
	var parts []string
	switch {
	case r.Error != "":
		parts = append(parts, "cannot be used")
	case !r.Enabled:
		parts = append(parts, "off")
	}
	if r.GroupSeconds > 0 {
		parts = append(parts, fmt.Sprintf("grouped for %s", seconds(r.GroupSeconds)))
	}
	if r.RepeatSeconds > 0 {
		parts = append(parts, fmt.Sprintf("repeated every %s", seconds(r.RepeatSeconds)))
	}
	if r.Quiet != nil {
		parts = append(parts, fmt.Sprintf("quiet for %s from %s", r.Quiet.Duration, r.Quiet.Cron))
	}
	if len(parts) == 0 {
		return "at once"
	}
	return strings.Join(parts, "; ")
}

func seconds(n int64) string { return job.DurationText(time.Duration(n) * time.Second) }

func (p *program) notifySet() *cobra.Command {
	var secret string // a new one, to be shown once
	return command.Reply(p.Program, &cobra.Command{
		Use: "set [flags] NAME", Short: "Create or replace a route", Args: oneName,
		Long: `Create or replace a route; options that are not given are empty. A webhook gets a new secret,
which is shown once, unless one is given or --unsigned.`,
	}, setRows(), func(ctx context.Context, r command.Request) (api.Route, error) {
		route, err := routeOf(r.Args[0], r.Opts)
		if err == nil {
			err = check(route)
		}
		if err != nil {
			return route, err
		}
		if r.Opts.Text("secret") == "" {
			secret = route.Secret
		}
		set, err := r.SetRoute(ctx, route)
		if secret != "" {
			set.Secret = secret
		}
		return set, err
	}, func(r api.Route) string {
		if secret != "" {
			p.Say("this is the only time that the secret is shown; the receiver verifies signatures with it: %s", secret)
		}
		return fmt.Sprintf("route %s takes %s; try it with: stint notify test %s\n", r.Name, console.Clean(matchText(r)), r.Name)
	})
}

// setRows returns the options that describe a route.
func setRows() []option.Option {
	return []option.Option{
		{FlagOnly: true, Name: "url", Value: "URL", Help: "the receiver: " + strings.Join(notify.Schemes(), "://, ") + "://"},
		{FlagOnly: true, Name: "secret", Value: "SECRET", Help: "secret for signing webhooks, whsec_ and base64 (default: a new one)"},
		{FlagOnly: true, Name: "unsigned", Kind: option.Switch, Help: "do not sign webhooks"},
		{FlagOnly: true, Name: "event", Kind: option.List, Value: "NAME", Values: notify.Events(), Help: "take only this event (repeatable): " + strings.Join(notify.Events(), ", ")},
		{FlagOnly: true, Name: "severity", Value: "LEVEL", Help: "the least severity: warning or critical; events of severity info are sent only to routes that name them"},
		{FlagOnly: true, Name: "match-job", Value: "GLOB", Help: "take only runs of jobs named like this"},
		{FlagOnly: true, Name: "match-label", Kind: option.List, Value: "K=V", Help: "take only runs with this label (repeatable)"},
		{FlagOnly: true, Name: "group", Kind: option.Duration, Value: "D", Help: "let the first message wait this long for others, to be sent as one"},
		{FlagOnly: true, Name: "repeat", Kind: option.Duration, Value: "D", Help: "notify again after this long, until the problem is acknowledged or has passed"},
		{FlagOnly: true, Name: "quiet-cron", Value: "CRON", Help: "when quiet hours begin: MINUTE HOUR DAY MONTH WEEKDAY"},
		{FlagOnly: true, Name: "quiet-for", Value: "D", Help: "how long quiet hours last, as 9h"},
		{FlagOnly: true, Name: "quiet-zone", Value: "ZONE", Help: "their time zone, as Europe/Berlin (default: UTC)"},
		{FlagOnly: true, Name: "disabled", Kind: option.Switch, Help: "keep the route and send nothing to it"},
	}
}

// routeOf reads a route from options.
func routeOf(name string, opts *option.Set) (api.Route, error) {
	r := api.Route{
		Name: name, URL: opts.Text("url"), Secret: opts.Text("secret"), Enabled: !opts.On("disabled"),
		Match: api.RouteMatch{
			Job: opts.Text("match-job"), Severity: job.Health(opts.Text("severity")), Events: opts.List("event"), Labels: map[string]string{},
		},
		GroupSeconds: int64(opts.Duration("group").Seconds()), RepeatSeconds: int64(opts.Duration("repeat").Seconds()),
	}
	if r.URL == "" {
		return r, option.Usagef("stint notify set needs --url URL")
	}
	for _, kv := range opts.List("match-label") {
		k, v, found := strings.Cut(kv, "=")
		if !found {
			return r, option.Usagef("--match-label: %s is not K=V", job.Quote(kv))
		}
		r.Match.Labels[k] = v
	}
	if opts.Text("quiet-cron") != "" || opts.Text("quiet-for") != "" {
		r.Quiet = &api.QuietHours{Cron: opts.Text("quiet-cron"), Duration: opts.Text("quiet-for"), Zone: opts.Text("quiet-zone")}
	}
	if r.Secret == "" && !opts.On("unsigned") && strings.HasPrefix(strings.ToLower(r.URL), "http") {
		r.Secret = notify.NewSecret()
	}
	return r, nil
}

func (p *program) notifyDelete() *cobra.Command {
	cmd := &cobra.Command{Use: "delete [flags] NAME", Short: "Delete a route; what waits for it is dropped", Args: oneName}
	opts := option.Register(cmd.Flags(), command.ServerRows())
	cmd.RunE = p.WithClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DeleteRoute(ctx, args[0]); err != nil {
			return err
		}
		return console.WriteAll(p.Out, fmt.Sprintf("route %s is deleted\n", console.Clean(args[0])))
	})
	return cmd
}

func (p *program) notifyTest() *cobra.Command {
	cmd := &cobra.Command{Use: "test [flags] NAME", Short: "Send a test message through a route", Args: oneName}
	opts := option.Register(cmd.Flags(), command.ServerRows())
	cmd.RunE = p.WithClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		refused, err := c.TestRoute(ctx, args[0])
		if err == nil && refused != "" {
			err = errors.New("route " + console.Clean(args[0]) + ": " + console.Clean(refused))
		}
		if err != nil {
			return err
		}
		return console.WriteAll(p.Out, fmt.Sprintf("the receiver of route %s has taken the message\n", console.Clean(args[0])))
	})
	return cmd
}
