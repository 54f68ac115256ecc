// Package access decides who sent a request and whether they may, and lets people log in and out.
package access

import (
	"context"
	"net"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/server/httpio"
)

// Store is what access needs of the database.
type Store interface {
	TokenStore
	SessionStore
	AuditStore
}

// TokenStore keeps tokens, and which of them began a run.
type TokenStore interface {
	CreateToken(ctx context.Context, t access.Token) error
	Tokens(ctx context.Context) ([]access.Token, error)
	TokenByHash(ctx context.Context, hash []byte) (access.Token, error)
	TouchTokens(ctx context.Context, used map[string]time.Time) error
	RevokeToken(ctx context.Context, id string) error
	// RevokedTokens returns how many tokens were revoked so far, by any server.
	RevokedTokens(ctx context.Context) (int64, error)
	// AssignOwner makes a token the owner of a new run, or of one whose owner is no longer
	// valid, and returns the owner: empty for a run that was begun without one.
	AssignOwner(ctx context.Context, run, token string, now time.Time) (owner string, err error)
}

// SessionStore keeps sessions, and logins that were begun at the identity provider.
type SessionStore interface {
	CreateSession(ctx context.Context, n access.Session) error
	SessionByHash(ctx context.Context, hash []byte) (access.Session, error)
	TouchSession(ctx context.Context, hash []byte, at, expires time.Time) error
	EndSession(ctx context.Context, hash []byte) error

	BeginLogin(ctx context.Context, l access.Login, now time.Time) error
	TakeLogin(ctx context.Context, hash []byte, now time.Time) (access.Login, error)
}

// AuditStore keeps what people did.
type AuditStore interface {
	Audit(ctx context.Context, e access.AuditEntry) error
	AuditLog(ctx context.Context, before int64, limit int) ([]access.AuditEntry, error)
}

// Config is what a Guard is made of.
type Config struct {
	httpio.Replies
	Store Store
	Now   func() time.Time
	// Rules say which requests need no token.
	Rules access.Settings
	// AgentCertificates asks agents for a client certificate.
	AgentCertificates bool
	// AccessCheck is how often WhileAllowed checks again.
	AccessCheck time.Duration
	// PublicURL is the server's address as people see it; empty when nobody said.
	PublicURL string
	OIDC      OIDC
	// CopiedAt is when the restored copy was made that the database is; nil for an original.
	CopiedAt *time.Time
	// TokenRevoked is called after a token was revoked; nil for nothing.
	TokenRevoked func(context.Context)
	// WrongToken counts a token that is not known.
	WrongToken func()
	// Pending notes a request of an attempt's agent that waits for the database, until end is called.
	Pending func(run string, attempt int) (end func())
}

// Guard decides who sent a request and whether they may.
type Guard struct {
	Config
	tokens   *access.Tokens
	failures *access.Failures
	refusals *access.Refusals
	owners   *access.Owners
	logins   loginRate
	oidc     *provider                   // nil: people log in with tokens only
	rule     atomic.Pointer[access.Rule] // who needs no token
}

// New makes a guard that trusts nobody without a token before Trust is called.
func New(of Config) (*Guard, error) {
	if err := of.Rules.Check(); err != nil {
		return nil, err
	}
	provider, err := newProvider(of.OIDC, of.PublicURL)
	if err != nil {
		return nil, err
	}
	s := &Guard{
		Config: of, tokens: access.NewTokens(), failures: access.NewFailures(), refusals: access.NewRefusals(),
		owners: access.NewOwners(), logins: newLoginRate(of.Now), oidc: provider,
	}
	s.Trust(nil)
	return s, nil
}

// Trust sets who needs no token on a listener; nil for none.
func (s *Guard) Trust(listener net.Addr) {
	rule := s.Rules.Rule(listener)
	s.rule.Store(&rule)
}

// storeTime bounds what is written and asked beside requests.
const storeTime = 3 * time.Second
