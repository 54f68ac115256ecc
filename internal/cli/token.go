package cli

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/index"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/job"
)

// token manages access tokens. It works on the database itself, beside a running server,
// so that the first token can be made before anybody may come in.
func (p *program) token() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token",
		Short: "Create, list and revoke access tokens",
		Long: `Create, list and revoke access tokens, on the machine of the server and on its data directory
or database. A token's secret is shown once, when it is made; only its hash is stored.`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.tokenCreate(), p.tokenList(), p.tokenRevoke())
	return cmd
}

// withStore opens the database that the options name for one action.
func (p *program) withStore(ctx context.Context, opts *option.Set, do func(*store.Store) error) (err error) {
	if err := opts.Resolve(p.Getenv); err != nil {
		return err
	}
	so, err := p.storeOptions(opts)
	if err != nil {
		return err
	}
	so.Beside = true
	db, err := store.Open(ctx, so)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(db)
}

func (p *program) tokenCreate() *cobra.Command {
	cmd := &cobra.Command{Use: "create [flags]", Short: "Make a token and print its secret once", Args: noArgs}
	opts := option.Register(cmd.Flags(), append(storeRows(),
		option.Option{FlagOnly: true, Name: "name", Value: "NAME", Help: "what the token is for"},
		option.Option{FlagOnly: true, Name: "scope", Value: "SCOPE", Help: "agent (deliver runs), read, write (read, cancel), or admin"},
		option.Option{FlagOnly: true, Name: "expires", Kind: option.Duration, Value: "D", Help: "how long it is valid (default: for ever)"},
		option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON"},
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withStore(cmd.Context(), opts, func(db *store.Store) error {
			now := time.Now()
			var expires time.Time
			if d := opts.Duration("expires"); d > 0 {
				expires = now.Add(d)
			}
			secret, t, err := access.NewToken(opts.Text("name"), access.Scope(opts.Text("scope")), expires, now)
			if err != nil {
				return option.Usagef("%v", err)
			}
			if err := db.CreateToken(cmd.Context(), t); err != nil {
				return err
			}
			if err := auditCommand(cmd, db, t.ID); err != nil {
				return err
			}
			if opts.On("json") {
				return p.PrintJSON(struct {
					Secret string `json:"token"`
					index.Token
				}{secret, t})
			}
			p.Say("this is the only time that the token is shown; give it to an agent as STINT_TOKEN")
			return console.WriteAll(p.Out, secret+"\n")
		})
	}
	return cmd
}

// auditCommand writes down who changed a token past the server.
func auditCommand(cmd *cobra.Command, db *store.Store, token string) error {
	return db.Audit(cmd.Context(), index.AuditEntry{
		At: time.Now().UTC(), Who: userName(), Via: "command", Address: "this machine",
		Action: cmd.CommandPath(), Target: token, Status: http.StatusOK,
	})
}

func (p *program) tokenList() *cobra.Command {
	cmd := &cobra.Command{Use: "list [flags]", Short: "List the tokens", Args: noArgs}
	opts := option.Register(cmd.Flags(), append(storeRows(),
		option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON"},
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		return p.withStore(cmd.Context(), opts, func(db *store.Store) error {
			tokens, err := db.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			if opts.On("json") {
				return p.PrintJSON(map[string]any{"tokens": tokens})
			}
			if len(tokens) == 0 {
				p.Say("no tokens yet; make one with: stint token create --name NAME --scope SCOPE")
				return nil
			}
			return console.WriteAll(p.Out, p.tokensTable(tokens))
		})
	}
	return cmd
}

func (p *program) tokensTable(tokens []index.Token) string {
	day := func(t *time.Time, never string) string {
		if t == nil {
			return never
		}
		return t.Local().Format("2006-01-02 15:04")
	}
	var rows [][]console.Cell
	for _, t := range tokens {
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
				return option.Usagef("stint token revoke wants one token, by its ID or its NAME, as stint token list shows them")
			}
			return nil
		},
	}
	opts := option.Register(cmd.Flags(), storeRows())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return p.withStore(cmd.Context(), opts, func(db *store.Store) error {
			tokens, err := db.Tokens(cmd.Context())
			if err != nil {
				return err
			}
			t, err := namedToken(tokens, args[0])
			if err != nil {
				return err
			}
			if err := db.RevokeToken(cmd.Context(), t.ID); err != nil {
				return err
			}
			if err := auditCommand(cmd, db, t.ID); err != nil {
				return err
			}
			return console.WriteAll(p.Out, fmt.Sprintf("token %s (%s…) is revoked\n", console.Clean(t.Name), t.Prefix))
		})
	}
	return cmd
}

// namedToken finds a token by its id, or by its name when no other has that.
func namedToken(tokens []index.Token, which string) (index.Token, error) {
	var found []index.Token
	for _, t := range tokens {
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
		return index.Token{}, fmt.Errorf("no token has the id or the name %s; stint token list shows them", job.Quote(which))
	}
	return index.Token{}, fmt.Errorf("%d tokens have the name %s: say which by its id; stint token list shows them", len(found), job.Quote(which))
}
