// Package access authenticates and authorizes requests: tokens (tokens.go), sessions and logins
// (session.go, login.go, oidc.go), the owners of runs (owner.go) and the audit log (audit.go).
package access

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/server/httpio"
)

// Store is the part of the database that access uses.
type Store interface {
	TokenStore
	SessionStore
	AuditStore
}

// TokenStore stores tokens, and which of them owns a run.
type TokenStore interface {
	CreateToken(ctx context.Context, t access.Token) error
	Tokens(ctx context.Context) ([]access.Token, error)
	TokenByHash(ctx context.Context, hash []byte) (access.Token, error)
	TouchTokens(ctx context.Context, used map[string]time.Time) error
	RevokeToken(ctx context.Context, id string) error
	// RevokedTokens returns how many tokens any server has revoked so far.
	RevokedTokens(ctx context.Context) (int64, error)
	// AssignOwner makes a token the owner of a new run, or of a run whose owner is no longer valid, and
	// returns the owner: empty for a run that was created without a token.
	// The error is *index.SubmittedError for a submitted run, which has no owner.
	AssignOwner(ctx context.Context, run, token string, now time.Time) (owner string, err error)
	// TokenKey returns the key that signs the tokens of claims and attempts.
	TokenKey() []byte
}

// SessionStore stores sessions, and logins that have begun at the identity provider.
type SessionStore interface {
	CreateSession(ctx context.Context, n access.Session) error
	SessionByHash(ctx context.Context, hash []byte) (access.Session, error)
	TouchSession(ctx context.Context, hash []byte, at, expires time.Time) error
	EndSession(ctx context.Context, hash []byte) error

	BeginLogin(ctx context.Context, l access.Login, now time.Time) error
	TakeLogin(ctx context.Context, hash []byte, now time.Time) (access.Login, error)
}

// AuditStore stores the audit log.
type AuditStore interface {
	Audit(ctx context.Context, e access.AuditEntry) error
	AuditLog(ctx context.Context, q query.Audit) ([]access.AuditEntry, error)
}

// Config configures a Guard.
type Config struct {
	httpio.ErrorWriter
	Store Store
	Now   func() time.Time
	// Rules decide which requests need no token.
	Rules access.Settings
	// AgentCertificates reports whether agents must have a client certificate.
	AgentCertificates bool
	// AccessCheckInterval is the interval at which WhileAllowed checks.
	AccessCheckInterval time.Duration
	// PublicURL is the address of the server for people; empty if it is not known.
	PublicURL string
	OIDC      OIDC
	// CopiedAt is when the database was copied, if it is a restored copy; nil for an original.
	CopiedAt *time.Time
	// TokenRevoked is called after a token was revoked; nil for no call.
	TokenRevoked func(context.Context)
	// WrongToken counts an unknown token.
	WrongToken func()
	// Pending records a request of an attempt's agent that waits for the database, until end is called.
	Pending func(run string, attempt int) (end func())
}

// Guard authenticates and authorizes requests.
type Guard struct {
	Config
	tokens   *access.Tokens
	failures *access.Failures
	refusals *access.Refusals
	owners   *access.Owners
	logins   loginRate
	oidc     *provider                   // nil: people log in with tokens only
	rule     atomic.Pointer[access.Rule] // decides which requests need no token
	polled   atomic.Bool                 // a worker asked from another host
}

// New returns a Guard, for which all requests need a token until Trust is called, unless none ever does.
func New(cfg Config) (*Guard, error) {
	if err := cfg.Rules.Check(); err != nil {
		return nil, err
	}
	provider, err := newProvider(cfg.OIDC, cfg.PublicURL)
	if err != nil {
		return nil, err
	}
	s := &Guard{
		Config: cfg, tokens: access.NewTokens(), failures: access.NewFailures(), refusals: access.NewRefusals(),
		owners: access.NewOwners(), logins: newLoginRate(cfg.Now), oidc: provider,
	}
	rule := cfg.Rules.Rule(nil)
	s.rule.Store(&rule)
	return s, nil
}

// Trust sets which requests need no token on a listener; with nil all need one. From then on a token of the
// scope worker counts.
func (s *Guard) Trust(ctx context.Context, listener net.Addr) {
	rule := s.Rules.Rule(listener)
	s.rule.Store(&rule)
	if rule.Local {
		s.findWorkers(ctx)
	}
}

// storeTimeout bounds reads and writes of the store that do not belong to a request.
const storeTimeout = 3 * time.Second
