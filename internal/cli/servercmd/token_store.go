package servercmd

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/store"
)

// storedTokens are the tokens of a database. What is changed goes into the audit log.
type storedTokens struct {
	db     *store.Store
	action string // for the audit log
	files  []string
}

// withStoredTokens opens the database that the options name for one action.
func (p *program) withStoredTokens(cmd *cobra.Command, opts *option.Set, do func(context.Context, tokens) error) (err error) {
	so, err := p.storeOptions(opts)
	if err != nil {
		return err
	}
	so.Beside = so.URL != ""
	db, err := store.Open(cmd.Context(), so)
	var inUse *store.InUseError
	if errors.As(err, &inUse) {
		return fmt.Errorf("a server (process %s) works in %s: name it with --server or STINT_SERVER instead of %s", inUse.PID, inUse.Dir, opts.Source("data"))
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(cmd.Context(), storedTokens{db, cmd.CommandPath(), p.adminTokenFiles(so)})
}

func (s storedTokens) Tokens(ctx context.Context) ([]client.Token, error) {
	all, err := s.db.Tokens(ctx)
	out := make([]client.Token, 0, len(all))
	for _, t := range all {
		out = append(out, listedToken(t))
	}
	return out, err
}

func listedToken(t access.Token) client.Token {
	return client.Token{
		ID: t.ID, Name: t.Name, Scope: t.Scope, Prefix: t.Prefix,
		CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt, LastUsedAt: t.LastUsedAt, TokenWorker: client.TokenWorker{Worker: t.Worker, Labels: t.Labels},
	}
}

func (s storedTokens) CreateToken(ctx context.Context, name, scope string, valid time.Duration, of client.TokenWorker) (client.NewToken, error) {
	now := time.Now()
	var expires time.Time
	if valid > 0 {
		expires = now.Add(valid)
	}
	secret, t, err := access.NewToken(name, access.Scope(scope), expires, now)
	if err == nil {
		err = t.SetWorker(of.Worker, of.Labels)
	}
	if err == nil {
		err = s.db.CreateToken(ctx, t)
	}
	if err == nil {
		err = s.audit(ctx, t.ID)
	}
	return client.NewToken{Secret: secret, Token: listedToken(t)}, err
}

func (s storedTokens) RevokeToken(ctx context.Context, id string) error {
	if err := s.db.RevokeToken(ctx, id); err != nil {
		return err
	}
	return errors.Join(s.audit(ctx, id), removeRevoked(ctx, s.db, s.files))
}

func (s storedTokens) audit(ctx context.Context, token string) error {
	return s.db.Audit(ctx, access.AuditEntry{
		At: time.Now().UTC(), Who: command.UserName(), Via: "command", Address: "this machine",
		Action: s.action, Target: token, Status: http.StatusOK,
	})
}
