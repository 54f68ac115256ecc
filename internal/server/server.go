package server

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs"
	accessapi "stint.dev/stint/internal/server/access"
	"stint.dev/stint/internal/server/conns"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/intake"
	"stint.dev/stint/internal/server/live"
	logsapi "stint.dev/stint/internal/server/logs"
	outboxapi "stint.dev/stint/internal/server/outbox"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/server/runs"
	"stint.dev/stint/internal/shares"
)

// Config is what a server is made of. Store is required; the rest has working defaults.
type Config struct {
	Store   Store
	Version string           // shown in the interface's description and by /readyz
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // nil: time.Now

	// RequireToken, Insecure, TrustLocal and Hosts say, with PublicURL and OIDC, which
	// requests need no token: see access.Settings. A wrong token is always refused.
	RequireToken, Insecure, TrustLocal bool
	Hosts                              []string

	// BeatsPerSecond is how many heartbeats the server means to take from the whole
	// fleet before it asks agents to beat less often; 0 for 2,000.
	BeatsPerSecond float64
	// BodyMemory bounds the bytes of journal bodies held in memory, over all requests;
	// 0 for 128 MiB.
	BodyMemory int64
	// BodyPause is how long a client may send next to nothing in the middle of a body, and
	// BodyTime how long one body may take in all; 0 for 20 s and 10 min.
	BodyPause, BodyTime time.Duration
	// WritePause is how long a client may take to accept a piece of a log or a live stream
	// before it is cut off; 0 for 30 s.
	WritePause time.Duration
	// AccessCheck is how often a stream or download asks again whether its token or session
	// still holds; 0 for a minute.
	AccessCheck time.Duration
	// SearchTime is how long one search through a log may take, and Searches how many run
	// at once; 0 for 20 s and 4.
	SearchTime time.Duration
	Searches   int
	// CopiedAt is when the copy was made that the database is; zero for an original.
	CopiedAt time.Time
	// NewJobs is how many jobs of new names each token, or address without one, may begin
	// within an hour; 0 for any number.
	NewJobs int
	// MaxConnections is how many connections are open at once; 0 for four fifths of the open
	// files that the process may have, less a reserve for the store.
	MaxConnections int64
	// TokenRevoked is called after a token was revoked; nil for nothing.
	TokenRevoked func(context.Context)
	// Settings are shown on the page.
	Settings Settings
	// TLS makes the server speak it; see access.TLSConfig.
	TLS *tls.Config
	// AgentCertificates asks agents for a client certificate, which the listener's TLS
	// configuration verified.
	AgentCertificates bool
	// PublicURL is the server's address as people and agents see it, https://…; it may
	// have a path. Empty when nobody said.
	PublicURL string
	// OIDC lets people log in through an identity provider.
	OIDC accessapi.OIDC
	// Notifier checks and tests routes of notifications; nil for a server that sends none.
	Notifier outboxapi.Notifier
	// PublicBadges answers the badges of jobs to everybody.
	PublicBadges bool
	// ShutdownTime bounds how long Serve waits for running requests; 0 for 10 s.
	ShutdownTime time.Duration

	// UI serves every path that is not the interface's; nil for a plain answer.
	UI http.Handler
	// Connections is notified of what the connections of agents say; nil for nobody.
	Connections conns.Observer
	// Extension says whether leases are extended; nil where nobody judges.
	Extension func() health.Extension
}

// Server answers HTTP. It owns the goroutines of its intake; Close ends them.
type Server struct {
	cfg     Config
	store   Store
	finder  httpio.Finder
	log     *slog.Logger
	now     func() time.Time
	handler http.Handler
	table   []route.Row
	spec    []byte // the OpenAPI document
	page    []byte // the same for people
	// pageStyles is the source of the styles in page.
	pageStyles string

	broker  *live.Broker
	live    *live.Streams
	agents  *conns.Agents
	ready   readiness
	access  *accessapi.Guard
	intake  *intake.Intake
	runs    *runs.Runs
	health  healthapi.Routes
	outbox  *outboxapi.Outbox
	ping    *ping.Ping
	logs    *logsapi.Logs
	turns   *shares.Shares // turns of those who read logs
	conns   *conns.Places
	metrics *serverMetrics

	// draining is set when the server begins to shut down; stopping is closed with it,
	// so that handlers that would never end by themselves do.
	draining atomic.Bool
	stopping chan struct{}
}

// New makes a server and starts its intake.
func New(cfg Config) (*Server, error) {
	if cfg.Store == nil {
		return nil, errors.New("make server: it needs a store")
	}
	cfg = cfg.withDefaults()
	s := &Server{
		cfg: cfg, store: shareReads(cfg.Store), log: cfg.Log, now: cfg.Now,
		broker:   live.NewBroker(),
		ready:    newReadiness(),
		turns:    httpio.NewTurns(),
		stopping: make(chan struct{}),
	}
	s.finder = httpio.Finder{Replies: httpio.Replies{Log: s.log}, Found: s.store}
	var err error
	if s.access, err = s.newGuard(); err != nil {
		return nil, err
	}
	s.agents = conns.NewAgents(cfg.Now, undrained{s})
	s.metrics = newServerMetrics(s)
	s.conns = conns.NewPlaces(cfg.MaxConnections, cfg.Log, s.metrics.connsRefused.Inc)
	s.join()
	handler, err := s.build()
	if err != nil {
		return nil, errors.Join(err, s.intake.Close(context.Background()))
	}
	s.handler = handler
	return s, nil
}

// join makes the parts that answer calls.
func (s *Server) join() {
	s.intake = intake.Start(intake.Config{
		Replies: s.finder.Replies, Store: s.store, Now: s.now, Agents: s.agents, Followers: s.broker,
		BodyMemory: s.cfg.BodyMemory, BodyPause: s.cfg.BodyPause, BodyTime: s.cfg.BodyTime,
		BeatsPerSecond: s.cfg.BeatsPerSecond, NewJobs: s.cfg.NewJobs,
		Claim: s.access.Claim, Metrics: s.metrics.set, Changed: s.metrics.events,
	})
	s.live = live.New(live.Config{
		Finder: s.finder, Store: s.store, Broker: s.broker, WritePause: s.cfg.WritePause, Stopping: s.stopping, Turns: s.turns,
	})
	s.logs = logsapi.New(logsapi.Config{
		Finder: s.finder, Store: s.store, WritePause: s.cfg.WritePause, SearchTime: s.cfg.SearchTime, Searches: s.cfg.Searches,
		Stopping: s.stopping, Turns: s.turns, Claim: s.access.Claim,
	})
	s.runs = runs.New(runs.Config{
		Finder: s.finder, Store: s.store, Now: s.now, Ingest: s.intake.Ingested, Readers: s.broker.Readers,
		Degraded: s.degraded, HeavyRead: s.logs.SearchTurn,
	})
	s.outbox = &outboxapi.Outbox{
		Finder: s.finder, Store: s.store, Now: s.now, Notifier: s.cfg.Notifier, Copied: s.copiedAt() != nil,
		Notify: s.broker.Notify, Changed: s.metrics.events,
	}
	s.ping = &ping.Ping{
		Replies: s.finder.Replies, Store: s.store, Now: s.now, Intake: s.intake, Claim: s.access.Claim,
		ReadJournal: func(ctx context.Context, run string, attempt int) io.Reader {
			return logs.NewJournalReader(ctx, s.store, run, attempt, 0)
		},
	}
	s.health = healthapi.Routes{Finder: s.finder, Store: s.store, Now: s.now, HeavyRead: s.logs.SearchTurn}
}

// newGuard makes what decides who sent a request.
func (s *Server) newGuard() (*accessapi.Guard, error) {
	return accessapi.New(accessapi.Config{
		Replies: s.finder.Replies, Store: s.store, Now: s.now, Rules: s.cfg.settings(),
		AgentCertificates: s.cfg.AgentCertificates, AccessCheck: s.cfg.AccessCheck, PublicURL: s.cfg.PublicURL,
		OIDC: s.cfg.OIDC, CopiedAt: s.copiedAt(), TokenRevoked: s.cfg.TokenRevoked,
		WrongToken: func() { s.metrics.wrongTokens.Inc() },
		Pending:    func(run string, attempt int) func() { return s.intake.Pending(run, attempt) },
	})
}

// settings are what the configuration says about tokens.
func (c Config) settings() access.Settings {
	return access.Settings{
		RequireToken: c.RequireToken, Insecure: c.Insecure, TrustLocal: c.TrustLocal,
		PublicURL: c.PublicURL, OIDC: c.OIDC.Issuer != "", Hosts: c.Hosts,
	}
}

func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Version == "" {
		c.Version = "unknown"
	}
	setDefault(&c.BeatsPerSecond, 2000)
	setDefault(&c.BodyMemory, 128<<20)
	setDefault(&c.BodyPause, 20*time.Second)
	setDefault(&c.BodyTime, 10*time.Minute)
	setDefault(&c.WritePause, 30*time.Second)
	setDefault(&c.AccessCheck, time.Minute)
	setDefault(&c.SearchTime, 20*time.Second)
	setDefault(&c.Searches, 4)
	setDefault(&c.MaxConnections, conns.Limit())
	setDefault(&c.ShutdownTime, 10*time.Second)
	if c.Extension == nil {
		c.Extension = func() health.Extension { return health.Extension{} }
	}
	return c
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Handler answers requests. Serve adds what only a listener can have: limits on headers
// and time, and the watch over agents' connections.
func (s *Server) Handler() http.Handler { return s.handler }

// TurnCommitter returns when the loop that makes appends and heartbeats durable last did
// something or found nothing to do, and lets it turn once more.
func (s *Server) TurnCommitter() time.Time { return s.intake.Turn() }

// Stopping is closed when the server begins to shut down.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Drain begins the shutdown: readyz answers 503, and live streams end. It may be called
// more than once.
func (s *Server) Drain() {
	if s.draining.CompareAndSwap(false, true) {
		close(s.stopping)
	}
}

// Close drains the server and waits until everything that was accepted is durable and
// answered. Requests that come later are refused with 503.
func (s *Server) Close(ctx context.Context) error {
	s.Drain()
	return s.intake.Close(ctx)
}

// Arrived returns when the last heartbeat of an attempt arrived that is not stored yet, or
// could not be, or the last request that is pending; zero for none.
func (s *Server) Arrived(run string, attempt int) time.Time {
	return s.intake.Arrived(run, attempt)
}

// Stored returns when something that an agent sent was last stored; zero for never.
func (s *Server) Stored() time.Time { return s.intake.Stored() }

// undrained passes on what connections say. The server's own shutdown closes them too,
// which says nothing about any agent.
type undrained struct{ *Server }

func (u undrained) Disconnected(d lease.Disconnect) {
	if u.draining.Load() {
		return
	}
	if d.Peer {
		u.metrics.agentsGone.Inc()
	}
	if u.cfg.Connections != nil {
		u.cfg.Connections.Disconnected(d)
	}
}

func (u undrained) Returned(run string, attempt int) {
	if u.cfg.Connections != nil {
		u.cfg.Connections.Returned(run, attempt)
	}
}

// Notify wakes those who follow a run, because another part of this process, such as the health
// monitor, committed something about it.
func (s *Server) Notify(run string) { s.broker.Notify(run) }
