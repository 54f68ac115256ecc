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
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/health"
	"stint.dev/stint/internal/lease"
	"stint.dev/stint/internal/logs"
	accessapi "stint.dev/stint/internal/server/access"
	"stint.dev/stint/internal/server/conns"
	"stint.dev/stint/internal/server/definitions"
	"stint.dev/stint/internal/server/due"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/intake"
	"stint.dev/stint/internal/server/jobmetrics"
	"stint.dev/stint/internal/server/live"
	logsapi "stint.dev/stint/internal/server/logs"
	outboxapi "stint.dev/stint/internal/server/outbox"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/queue"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/server/runs"
	"stint.dev/stint/internal/shares"
)

// Config configures a Server. Store is required; everything else has a default.
type Config struct {
	Store   Store
	Version string           // shown in the description of the API and by /readyz
	Log     *slog.Logger     // nil: slog.Default()
	Now     func() time.Time // nil: time.Now

	// RequireToken, Insecure, TrustLocal and Hosts decide, with PublicURL and OIDC, which requests
	// need no token: see access.Settings. A wrong token is always refused.
	RequireToken, Insecure, TrustLocal bool
	Hosts                              []string
	// Proxies are believed when they name the client of a request in X-Forwarded-For. No address makes
	// a request need no token.
	Proxies access.Proxies

	// BeatsPerSecond is how many heartbeats of all agents together the server accepts before it
	// asks agents to send them less often; 0 for 2,000.
	BeatsPerSecond float64
	// BodyMemory is the most memory, in bytes, for the journal bodies of all requests; 0 for
	// 128 MiB.
	BodyMemory int64
	// BodyStallTimeout is how long the client of a journal body may send next to nothing, and BodyTimeout how
	// long it may take for the whole body; 0 for 20 s and 10 min.
	BodyStallTimeout, BodyTimeout time.Duration
	// WriteTimeout is how long a client may take to accept a part of a log or live stream before the
	// server closes the connection; 0 for 30 s.
	WriteTimeout time.Duration
	// AccessCheckInterval is the interval at which a stream or download checks that its token or session
	// is still valid; 0 for a minute.
	AccessCheckInterval time.Duration
	// SearchTimeout is how long one search in a log may take, and MaxSearches how many run at once; 0 for
	// 20 s and 4.
	SearchTimeout time.Duration
	MaxSearches   int
	// CopiedAt is when the database was copied, if it is a restored copy; zero for an original.
	CopiedAt time.Time
	// NewJobs is how many jobs of new names each token, or address without one, may create
	// within an hour; 0 for any number.
	NewJobs int
	// MaxConnections is how many connections may be open at once; 0 for four fifths of the open
	// files that the process may have, less a reserve for the store.
	MaxConnections int64
	// TokenRevoked is called after a token was revoked; nil for no call.
	TokenRevoked func(context.Context)
	// Settings are shown on the web page.
	Settings Settings
	// TLS is the TLS configuration, see access.TLSConfig; nil for plain HTTP.
	TLS *tls.Config
	// AgentCertificates reports whether agents must have a client certificate that the TLS
	// configuration verifies.
	AgentCertificates bool
	// PublicURL is the address of the server for people and agents, https://…; it may have a path.
	// Empty if it is not known.
	PublicURL string
	// OIDC configures the identity provider through which people log in.
	OIDC accessapi.OIDC
	// Notifier checks and tests routes of notifications; nil for a server that sends none.
	Notifier outboxapi.Notifier
	// MetricsLabels are the labels of runs that the metrics of jobs have.
	MetricsLabels []jobmetrics.Label
	// PublicBadges reports whether the badges of jobs need no token.
	PublicBadges bool
	// ShutdownTimeout is how long Serve waits for running requests; 0 for 10 s.
	ShutdownTimeout time.Duration

	// UI serves every path that does not belong to the API; nil for a server without web page.
	UI http.Handler
	// Connections is notified when connections of agents close and when agents return; may be nil.
	Connections conns.Observer
	// Extension returns whether leases are extended; nil on a server that does not judge runs.
	Extension func() health.Extension
}

// Server is an HTTP server. New starts no goroutine; Run and Serve own those that they start.
type Server struct {
	cfg     Config
	store   Store
	finder  httpio.Finder
	log     *slog.Logger
	now     func() time.Time
	handler http.Handler
	table   []route.Row
	spec    []byte // the OpenAPI document
	page    []byte // the same document as a page
	// pageStyles is the source of the styles of page, as a content security policy writes it.
	pageStyles string

	broker      *live.Broker
	live        *live.Streams
	agents      *conns.Agents
	ready       readiness
	access      *accessapi.Guard
	intake      *intake.Intake
	runs        *runs.Runs
	health      healthapi.Routes
	outbox      *outboxapi.Outbox
	ping        *ping.Ping
	logs        *logsapi.Logs
	turns       *shares.Shares // turns of the requests that read logs
	conns       *conns.Places
	metrics     *serverMetrics
	jobMetrics  *jobmetrics.Metrics
	definitions *definitions.Routes
	due         due.Routes
	queue       *queue.Routes

	// draining is set when the server begins to shut down. stopping is closed at the same time, so
	// that live streams end.
	draining atomic.Bool
	stopping chan struct{}
}

// New returns a server, which does nothing before Serve or Run is called.
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
	s.finder = httpio.Finder{ErrorWriter: httpio.ErrorWriter{Log: s.log, Installation: s.store.Installation()}, Runs: s.store}
	var err error
	if s.access, err = s.newGuard(); err != nil {
		return nil, err
	}
	s.agents = conns.NewAgents(cfg.Now, connObserver{s})
	s.metrics = newServerMetrics(s)
	s.jobMetrics = jobmetrics.New(s.finder.ErrorWriter, s.store, s.now, cfg.MetricsLabels)
	s.conns = conns.NewPlaces(cfg.MaxConnections, cfg.Log, s.metrics.connsRefused.Inc)
	schema, err := definition.Schema()
	if err != nil {
		return nil, err
	}
	s.definitions = &definitions.Routes{ErrorWriter: s.finder.ErrorWriter, Store: s.store, Schedules: s.store, Calendar: s.store, Now: s.now, Schema: schema}
	s.makeParts()
	if s.handler, err = s.newHandler(); err != nil {
		return nil, err
	}
	return s, nil
}

// makeParts makes the parts that handle requests.
func (s *Server) makeParts() {
	s.intake = intake.New(intake.Config{
		ErrorWriter: s.finder.ErrorWriter, Store: s.store, Now: s.now, Agents: s.agents, Followers: s.broker,
		BodyMemory: s.cfg.BodyMemory, BodyStallTimeout: s.cfg.BodyStallTimeout, BodyTimeout: s.cfg.BodyTimeout,
		BeatsPerSecond: s.cfg.BeatsPerSecond, NewJobs: s.cfg.NewJobs,
		Claim: s.access.Claim, Metrics: s.metrics.set, Changed: s.metrics.countEvents,
	})
	s.live = live.New(live.Config{
		Finder: s.finder, Store: s.store, Broker: s.broker, WriteTimeout: s.cfg.WriteTimeout, Stopping: s.stopping, Turns: s.turns,
	})
	s.logs = logsapi.New(logsapi.Config{
		Finder: s.finder, Store: s.store, WriteTimeout: s.cfg.WriteTimeout, SearchTimeout: s.cfg.SearchTimeout, MaxSearches: s.cfg.MaxSearches,
		Stopping: s.stopping, Turns: s.turns, MayReadBack: s.intake.MayReadBack,
	})
	s.runs = runs.New(runs.Config{
		Finder: s.finder, Store: s.store, Now: s.now, Ingest: s.intake.Ingested, Readers: s.broker.Readers, Notify: s.broker.Notify,
		Degraded: s.degraded, HeavyRead: s.logs.SearchTurn,
	})
	s.outbox = &outboxapi.Outbox{
		Finder: s.finder, Store: s.store, Now: s.now, Notifier: s.cfg.Notifier, Copied: s.copiedAt() != nil,
		Notify: s.broker.Notify, Changed: s.metrics.countEvents,
	}
	s.ping = ping.New(ping.Config{
		ErrorWriter: s.finder.ErrorWriter, Store: s.store, Now: s.now, Intake: s.intake, Claim: s.access.Claim, Caller: s.access.PingCaller,
		BodyStallTimeout: s.cfg.BodyStallTimeout, BodyTimeout: s.cfg.BodyTimeout,
		ReadJournal: func(ctx context.Context, run string, attempt int) io.Reader {
			return logs.NewJournalReader(ctx, s.store, run, attempt, 0)
		},
	})
	s.due = due.Routes{ErrorWriter: s.finder.ErrorWriter, Store: s.store, Now: s.now, PublicURL: s.cfg.PublicURL}
	s.queue = queue.New(queue.Config{
		Finder: s.finder, Submissions: s.store, Queue: s.store, Groups: s.store, Workers: s.store, Now: s.now, Stopping: s.stopping, Notify: s.broker.Notify, Changed: s.metrics.countEvents,
		Polled: s.access.PolledFrom,
	})
	s.health = healthapi.Routes{Finder: s.finder, Store: s.store, Now: s.now, HeavyRead: s.logs.SearchTurn, Queue: s.store}
}

// newGuard returns the guard that identifies the senders of requests.
func (s *Server) newGuard() (*accessapi.Guard, error) {
	return accessapi.New(accessapi.Config{
		ErrorWriter: s.finder.ErrorWriter, Store: s.store, Now: s.now, Rules: s.cfg.settings(),
		AgentCertificates: s.cfg.AgentCertificates, AccessCheckInterval: s.cfg.AccessCheckInterval, PublicURL: s.cfg.PublicURL,
		OIDC: s.cfg.OIDC, CopiedAt: s.copiedAt(), TokenRevoked: s.cfg.TokenRevoked,
		WrongToken: func() { s.metrics.wrongTokens.Inc() },
		Pending:    func(run string, attempt int) func() { return s.intake.Pending(run, attempt) },
	})
}

// settings returns the part of the configuration that decides which requests need a token.
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
	setDefault(&c.BodyStallTimeout, 20*time.Second)
	setDefault(&c.BodyTimeout, 10*time.Minute)
	setDefault(&c.WriteTimeout, 30*time.Second)
	setDefault(&c.AccessCheckInterval, time.Minute)
	setDefault(&c.SearchTimeout, 20*time.Second)
	setDefault(&c.MaxSearches, 4)
	setDefault(&c.MaxConnections, conns.Limit())
	setDefault(&c.ShutdownTimeout, 10*time.Second)
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

// Handler returns the handler of all requests. It lacks what Serve adds: limits of connections and
// headers, and the observation of agents' connections.
func (s *Server) Handler() http.Handler { return s.handler }

// TurnCommitter returns when the committer, which makes appends and heartbeats durable, last
// finished a round, and wakes it for another one.
func (s *Server) TurnCommitter() time.Time { return s.intake.Turn() }

// Stopping returns a channel that is closed when the server begins to shut down.
func (s *Server) Stopping() <-chan struct{} { return s.stopping }

// Drain begins the shutdown: readyz responds with 503, and live streams end. It may be called
// more than once.
func (s *Server) Drain() {
	if s.draining.CompareAndSwap(false, true) {
		close(s.stopping)
	}
}

// Close drains the server and waits until Run has made durable and answered everything that was
// accepted. Later appends and heartbeats are refused with 503.
func (s *Server) Close(ctx context.Context) error {
	s.Drain()
	err := s.intake.Close(ctx)
	s.ping.Wait() // what it waited for was answered
	return err
}

// Arrived returns when the last heartbeat of an attempt arrived that is not stored yet, or
// could not be stored, or the last request that is pending; zero for none.
func (s *Server) Arrived(run string, attempt int) time.Time {
	return s.intake.Arrived(run, attempt)
}

// Stored returns when something that an agent sent was last stored; zero for never.
func (s *Server) Stored() time.Time { return s.intake.Stored() }

// connObserver passes on to Config.Connections what it is notified of, but not the connections that
// the shutdown of this server closes.
type connObserver struct{ *Server }

// Disconnected implements conns.Observer.
func (o connObserver) Disconnected(d lease.Disconnect) {
	if o.draining.Load() {
		return
	}
	if d.Peer {
		o.metrics.agentsGone.Inc()
	}
	if o.cfg.Connections != nil {
		o.cfg.Connections.Disconnected(d)
	}
}

// Returned implements conns.Observer.
func (o connObserver) Returned(run string, attempt int) {
	if o.cfg.Connections != nil {
		o.cfg.Connections.Returned(run, attempt)
	}
}

// Notify wakes the live streams of a run, because another part of this process, such as the health
// monitor, committed a change of it.
func (s *Server) Notify(run string) { s.broker.Notify(run) }
