package servercmd

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/periodic"
	accessapi "stint.dev/stint/internal/server/access"
	"stint.dev/stint/internal/store"
)

// accessRows returns the options about logins and TLS.
func accessRows() []option.Option {
	return []option.Option{
		{Name: "public-url", Value: "URL", Help: "public address of the server, for links and logins"},
		{Name: "tls-cert", Value: "FILE", Help: "certificate (PEM) for TLS; read again when it changes; needs --tls-key"},
		{Name: "tls-key", Value: "FILE", Help: "private key (PEM) of the certificate"},
		{Name: "client-ca", Value: "FILE", Help: "authorities (PEM) of client certificates, which agents must then present"},
		{Name: "oidc-issuer", Value: "URL", Help: "identity provider (OpenID Connect) for logins"},
		{Name: "oidc-client-id", Value: "ID", Help: "client id of this server at the identity provider"},
		{Name: "oidc-client-secret", Value: "SECRET", Help: "better given as STINT_OIDC_CLIENT_SECRET, which no process listing shows"},
		{Name: "oidc-grant", Kind: option.List, Value: "WHO=SCOPE", Help: "who may log in, with which scope: ada@example.org=admin, @example.org=read, group:ops=write (repeatable)"},
	}
}

func checkProxy(text string) error {
	_, err := access.ParseProxy(text)
	return err
}

// accessOptions are the values of these options.
type accessOptions struct {
	RequireToken, Insecure, TrustLocal bool

	Hosts             []string
	Proxies           access.Proxies
	PublicURL         string
	TLS               *tls.Config
	AgentCertificates bool
	OIDC              accessapi.OIDC
	// TokenFiles are the places for the secret of the first token; FirstToken is called
	// with it when it can be written to none of them.
	TokenFiles []string
	FirstToken func(secret string)
}

func (p *program) access(opts *option.Set, so store.Options, log *slog.Logger) (accessOptions, error) {
	a := accessOptions{
		RequireToken: opts.On("require-token"), Insecure: opts.On("insecure"), TrustLocal: opts.On("trust-local"), Hosts: opts.List("allow-host"),
		PublicURL: strings.TrimRight(opts.Text("public-url"), "/"), AgentCertificates: opts.Text("client-ca") != "",
		OIDC: accessapi.OIDC{
			Issuer: opts.Text("oidc-issuer"), ClientID: opts.Text("oidc-client-id"),
			ClientSecret: opts.Text("oidc-client-secret"), Grants: opts.List("oidc-grant"),
		},
		TokenFiles: p.adminTokenFiles(so),
		FirstToken: func(secret string) {
			log.Warn("the first token could not be written to a file, so it is shown here, once", "name", "first", "scope", string(access.Admin), "token", secret)
		},
	}
	if err := a.checkURLs(); err != nil {
		return a, err
	}
	var err error
	if a.Proxies, err = access.ParseProxies(opts.List("trusted-proxy")); err != nil {
		return a, option.Usagef("--trusted-proxy: %v", err)
	}
	if err := a.settings().Check(); err != nil {
		return a, option.Usagef("%v", err)
	}
	cert, key := opts.Text("tls-cert"), opts.Text("tls-key")
	switch {
	case (cert == "") != (key == ""):
		return a, option.Usagef("--tls-cert and --tls-key belong together: one of them is missing")
	case cert == "" && a.AgentCertificates:
		return a, option.Usagef("--client-ca needs --tls-cert and --tls-key: client certificates are shown over TLS")
	case cert != "":
		cfg, err := accessapi.TLSConfig(cert, key, opts.Text("client-ca"), time.Now, log)
		if err != nil {
			return a, err
		}
		a.TLS = cfg
	}
	return a, nil
}

// checkURLs reports addresses that cannot be used. The log, replies and links show both, so
// neither may hold a password, and no error repeats one that does.
func (a accessOptions) checkURLs() error {
	if holdsPassword(a.OIDC.Issuer) {
		return option.Usagef("--oidc-issuer: the address holds a user or password, which the log would show: remove them")
	}
	if holdsPassword(a.PublicURL) {
		return option.Usagef("--public-url: the address holds a user or password, which links and the log would show: remove them")
	}
	if u, err := url.Parse(a.PublicURL); a.PublicURL != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "") {
		return option.Usagef("--public-url: %q is not like https://stint.example.org", a.PublicURL)
	}
	return nil
}

// holdsPassword reports whether an address holds a user or password, or may hold one because
// it cannot be parsed.
func holdsPassword(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.User != nil || err != nil && strings.Contains(address, "@")
}

// settings returns the options about tokens.
func (a accessOptions) settings() access.Settings {
	return access.Settings{
		RequireToken: a.RequireToken, Insecure: a.Insecure, TrustLocal: a.TrustLocal,
		PublicURL: a.PublicURL, OIDC: a.OIDC.Issuer != "", Hosts: a.Hosts,
	}
}

// scheme returns how the server's address begins.
func (a accessOptions) scheme() string {
	if a.TLS != nil {
		return "https"
	}
	return "http"
}

// checkAccess makes the first token of a server that requires one from everybody, and warns of a
// server that requires none.
func checkAccess(ctx context.Context, db *store.Store, cfg serveConfig) error {
	address := cfg.Listener.Addr()
	rule := cfg.Access.settings().Rule(address)
	if rule.Everybody {
		cfg.Log.Warn("INSECURE: everybody who reaches this address may read every log and cancel every run",
			"address", address.String())
		return nil
	}
	if rule.Local && !rule.Unknown {
		if err := access.CheckPeers(); err != nil {
			rule.Local = false
			cfg.Log.Warn("everybody needs a token: this system does not report which user a connection belongs to; "+
				"--trust-local trusts every user of this machine instead", "error", err)
		}
	}
	if rule.Local {
		return nil
	}
	return makeFirstToken(ctx, db, cfg)
}

// sweepInterval is the pause between two deletions of expired sessions and audit
// entries.
const sweepInterval = time.Hour

// sweepAccess deletes what has expired, until ctx ends. files hold the secret of the first
// token, which another server on the database may have revoked.
func sweepAccess(ctx context.Context, db *store.Store, files []string, log *slog.Logger) {
	periodic.Loop{Every: sweepInterval}.Run(ctx, func(now time.Time) error {
		if err := db.SweepAccess(ctx, now); err != nil && ctx.Err() == nil {
			log.Warn("expired sessions and audit entries could not be deleted", "error", err)
		}
		if err := removeRevoked(ctx, db, files); err != nil && ctx.Err() == nil {
			log.Warn("the file of a revoked token could not be removed", "error", err)
		}
		return nil
	})
}
