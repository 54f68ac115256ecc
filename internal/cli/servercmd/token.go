package servercmd

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// token manages access tokens, on a server or on a database that no server uses.
func (p *program) token() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke access tokens",
		Long: `Create, list and revoke access tokens of the server that --server names. That needs a token
of the scope admin, or to be the server's user or root on its machine. With --data or
--database the command works on the database itself, while no server uses the data directory.
A token's secret is shown once, when it is made; only its hash is stored.`,
	}, p.tokenCreate(), p.tokenList(), p.tokenRevoke())
}

// tokenRows returns the options that say whose tokens a command is about.
func (p *program) tokenRows(own ...option.Option) []option.Option {
	return append(append(command.ServerRows(),
		option.Option{Name: "data", Value: "DIR", Help: "data directory to work on instead, while no server uses it"},
		option.Option{Name: "database", Value: "URL", Help: "PostgreSQL database to work on instead, postgres://…"},
	), own...)
}

// tokens are those of a server or a database.
type tokens interface {
	Tokens(ctx context.Context) ([]client.Token, error)
	CreateToken(ctx context.Context, name, scope string, valid time.Duration, of client.TokenWorker) (client.NewToken, error)
	RevokeToken(ctx context.Context, id string) error
}

// withTokens calls do with the tokens that the options name.
func (p *program) withTokens(cmd *cobra.Command, opts *option.Set, do func(context.Context, tokens) error) error {
	if err := p.Resolve(opts); err != nil {
		return err
	}
	direct, err := worksOnDatabase(opts)
	if err != nil {
		return err
	}
	if direct {
		return p.withStoredTokens(cmd, opts, do)
	}
	c, err := command.NewClient(opts, p.Version, "")
	if err != nil {
		return err
	}
	defer c.Close()
	return do(cmd.Context(), c)
}

// worksOnDatabase reports whether the options name a database and no server. A flag wins
// over the environment; in the environment a database wins over a server, which jobs on
// the same machine may need.
func worksOnDatabase(opts *option.Set) (bool, error) {
	flagged := opts.Flagged("data") || opts.Flagged("database")
	if flagged && opts.Flagged("server") {
		return false, option.Usagef("--server was given with --data or --database: choose one")
	}
	given := opts.Given("data") || opts.Given("database")
	return given && !opts.Flagged("server"), nil
}

func (p *program) tokenCreate() *cobra.Command {
	cmd := &cobra.Command{Use: "create [flags]", Short: "Make a token and print its secret once", Args: command.NoArgs}
	opts := option.Register(cmd.Flags(), p.tokenRows(
		option.Option{FlagOnly: true, Name: "name", Value: "NAME", Help: "what the token is for"},
		option.Option{FlagOnly: true, Name: "scope", Value: "SCOPE", Help: "agent (deliver runs), read, write (read, submit, cancel, retry, policies), author (write, and definitions of jobs), worker (take queued runs), ping (docs/pings.md), or admin"},
		option.Option{FlagOnly: true, Name: "expires", Kind: option.Duration, Value: "D", Help: "how long it is valid (default: no limit)"},
		option.Option{FlagOnly: true, Name: "worker", Value: "NAME", Help: "with the scope worker: the name of the worker that the token is for"},
		option.Option{FlagOnly: true, Name: "label", Kind: option.List, Value: "K=V", Help: "with the scope worker: label that the worker may have (repeatable)"},
		command.JSONRow(),
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withTokens(cmd, opts, func(ctx context.Context, t tokens) error {
			name, of, err := tokenNames(opts)
			if err != nil {
				return err
			}
			made, err := t.CreateToken(ctx, name, opts.Text("scope"), opts.Duration("expires"), of)
			if err != nil {
				return err
			}
			if opts.On("json") {
				return p.PrintJSON(made)
			}
			use := "log in with it on the page, or give it to commands as STINT_TOKEN"
			switch {
			case of.Worker != "":
				use = "give it to the worker with --token-file. From now on everybody needs a token on this server"
			case made.Scope == string(access.Agent):
				use = "give it to agents in a file (--token-file), or as STINT_TOKEN"
			case made.Scope == string(access.Ping):
				use = "it is a part of URLs: docs/pings.md"
			}
			p.Say("this is the only time that the token is shown; %s", use)
			return console.WriteAll(p.Out, made.Secret+"\n")
		})
	}
	return cmd
}

// tokenNames returns the name of a token, and the worker that it is for. The name of a worker is that of its
// token, too, unless that has another.
func tokenNames(opts *option.Set) (name string, of client.TokenWorker, err error) {
	name, of.Worker = cmp.Or(opts.Text("name"), opts.Text("worker")), opts.Text("worker")
	if name == "" || opts.Text("scope") == "" {
		return name, of, option.Usagef("a token needs --name, what it is for, and --scope, what it may do")
	}
	for _, kv := range opts.List("label") {
		k, v, found := strings.Cut(kv, "=")
		if !found || k == "" {
			return name, of, option.Usagef("--label: %s is not K=V", job.Quote(kv))
		}
		if of.Labels == nil {
			of.Labels = map[string]string{}
		}
		of.Labels[k] = v
	}
	_, t, err := access.NewToken(name, access.Scope(opts.Text("scope")), time.Time{}, time.Now())
	if err == nil {
		err = t.SetWorker(of.Worker, of.Labels)
	}
	if err != nil {
		return name, of, option.Usagef("%v", err)
	}
	return name, of, nil
}

func (p *program) tokenList() *cobra.Command {
	cmd := &cobra.Command{Use: "list [flags]", Short: "List the tokens", Args: command.NoArgs}
	opts := option.Register(cmd.Flags(), p.tokenRows(command.JSONRow()))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withTokens(cmd, opts, func(ctx context.Context, t tokens) error {
			all, err := t.Tokens(ctx)
			if err != nil {
				return err
			}
			if opts.On("json") {
				return p.PrintJSON(map[string]any{"tokens": all})
			}
			if len(all) == 0 {
				p.Say("no tokens yet; make one with: stint token create --name NAME --scope SCOPE")
				return nil
			}
			return console.WriteAll(p.Out, p.tokensTable(all))
		})
	}
	return cmd
}

func (p *program) tokensTable(all []client.Token) string {
	minute := func(t *time.Time) console.Cell {
		if t == nil {
			return console.T("never")
		}
		return console.At(*t, "2006-01-02 15:04")
	}
	var rows [][]console.Cell
	for _, t := range all {
		rows = append(rows, []console.Cell{
			console.T(t.Name), console.T(scopeText(t)), console.T(t.Prefix + "…"), minute(&t.CreatedAt),
			minute(t.ExpiresAt), minute(t.LastUsedAt), console.T(t.ID),
		})
	}
	return p.Table([]console.Column{{Head: "NAME", Min: 12}, {Head: "SCOPE", Min: 6}, {Head: "TOKEN", Drop: 2}, {Head: "CREATED", Drop: 3}, {Head: "EXPIRES"}, {Head: "LAST USED"}, {Head: "ID", Drop: 1}}, rows)
}

// scopeText is the scope of a token, with what it is for.
func scopeText(t client.Token) string {
	text := t.Scope
	if t.Worker != "" {
		text += " " + t.Worker
	}
	for _, key := range slices.Sorted(maps.Keys(t.Labels)) {
		text += " " + key + "=" + t.Labels[key]
	}
	return text
}

func (p *program) tokenRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use: "revoke [flags] ID|NAME", Short: "Make a token invalid at once",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return option.Usagef("stint token revoke needs one token, by its ID or its NAME, as stint token list shows them")
			}
			return nil
		},
	}
	opts := option.Register(cmd.Flags(), p.tokenRows())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withTokens(cmd, opts, func(ctx context.Context, t tokens) error {
			all, err := t.Tokens(ctx)
			if err != nil {
				return err
			}
			one, err := namedToken(all, args[0])
			if err != nil {
				return err
			}
			if err := t.RevokeToken(ctx, one.ID); err != nil {
				return err
			}
			return console.WriteAll(p.Out, fmt.Sprintf("token %s (%s…) is revoked\n", console.Clean(one.Name), one.Prefix))
		})
	}
	return cmd
}

// namedToken finds a token by its id, or by its name when no other has that.
func namedToken(all []client.Token, which string) (client.Token, error) {
	var found []client.Token
	for _, t := range all {
		if t.ID == which {
			return t, nil
		}
		if t.Name == which {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return client.Token{}, fmt.Errorf("no token has the id or the name %s; stint token list shows them", job.Quote(which))
	}
	var ids []string
	for _, t := range found {
		ids = append(ids, fmt.Sprintf("%s (%s…, made %s)", t.ID, t.Prefix, console.LocalTime(t.CreatedAt)))
	}
	return client.Token{}, option.Usagef("%d tokens have the name %s: give the id of one: %s", len(found), job.Quote(which), strings.Join(ids, ", "))
}
