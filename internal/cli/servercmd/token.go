package servercmd

import (
	"context"
	"fmt"
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
	CreateToken(ctx context.Context, name, scope string, valid time.Duration) (client.NewToken, error)
	RevokeToken(ctx context.Context, id string) error
}

// withTokens calls do with the tokens that the options name.
func (p *program) withTokens(cmd *cobra.Command, opts *option.Set, do func(context.Context, tokens) error) error {
	if err := opts.Resolve(p.Getenv); err != nil {
		return err
	}
	direct, err := worksOnDatabase(opts)
	if err != nil {
		return err
	}
	if direct {
		return p.withStoredTokens(cmd, opts, do)
	}
	c, err := p.Client(opts)
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
		option.Option{FlagOnly: true, Name: "scope", Value: "SCOPE", Help: "agent (deliver runs), read, write (read, submit, cancel, retry, policies), author (write, and definitions of jobs), or admin"},
		option.Option{FlagOnly: true, Name: "expires", Kind: option.Duration, Value: "D", Help: "how long it is valid (default: no limit)"},
		command.JSONRow(),
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withTokens(cmd, opts, func(ctx context.Context, t tokens) error {
			name, scope := opts.Text("name"), opts.Text("scope")
			if _, _, err := access.NewToken(name, access.Scope(scope), time.Time{}, time.Now()); err != nil {
				return option.Usagef("%v", err)
			}
			made, err := t.CreateToken(ctx, name, scope, opts.Duration("expires"))
			if err != nil {
				return err
			}
			if opts.On("json") {
				return p.PrintJSON(made)
			}
			p.Say("this is the only time that the token is shown; give it to an agent as STINT_TOKEN")
			return console.WriteAll(p.Out, made.Secret+"\n")
		})
	}
	return cmd
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
	day := func(t *time.Time, never string) string {
		if t == nil {
			return never
		}
		return t.Local().Format("2006-01-02 15:04")
	}
	var rows [][]console.Cell
	for _, t := range all {
		rows = append(rows, []console.Cell{
			console.T(t.Name), console.T(t.Scope), console.T(t.Prefix + "…"), console.T(day(&t.CreatedAt, "")),
			console.T(day(t.ExpiresAt, "never")), console.T(day(t.LastUsedAt, "never")), console.T(t.ID),
		})
	}
	return console.Table([]string{"NAME", "SCOPE", "TOKEN", "CREATED", "EXPIRES", "LAST USED", "ID"}, rows, 0, p.StyleFor(p.Out))
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
	return client.Token{}, fmt.Errorf("%d tokens have the name %s: give the id; stint token list shows them", len(found), job.Quote(which))
}
