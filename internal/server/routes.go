package server

import (
	"slices"

	"stint.dev/stint/internal/access"
	accessapi "stint.dev/stint/internal/server/access"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/intake"
	"stint.dev/stint/internal/server/live"
	logsapi "stint.dev/stint/internal/server/logs"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/server/runs"
)

// routes is the table. Every route of the server is a row here and nowhere else: first
// what is about runs, then the compat wire and the server itself.
func (s *Server) routes() []route.Row {
	return slices.Concat(s.runRoutes(), s.jobRoutes(), s.readBackRoutes(), s.healthRoutes(), s.actionRoutes(), s.accessRoutes(), s.ownRoutes())
}

func (s *Server) runRoutes() []route.Row {
	const (
		all     = "/api/v1/runs"
		run     = all + "/{run}"
		attempt = run + "/attempts/{attempt}"
		beat    = attempt + "/heartbeat"
	)
	return []route.Row{
		// Agents.
		{
			Method: "POST", Pattern: attempt + "/journal", Scope: access.Agent, Handle: s.intake.PostJournal, Body: intake.MaxAppend,
			Summary: "Append journal bytes at an offset", Doc: intake.DocPostJournal,
		},
		{
			Method: "GET", Pattern: attempt + "/journal", Scope: access.Read, Handle: s.logs.GetJournal, Stream: true,
			Summary: "Download journal bytes from an offset", Doc: logsapi.DocGetJournal,
		},
		{
			Method: "POST", Pattern: beat, Scope: access.Agent, Handle: s.intake.PostHeartbeat,
			Summary: "Renew the lease of an attempt", Doc: intake.DocHeartbeat,
		},

		// Reading.
		{Method: "GET", Pattern: all, Scope: access.Read, Typed: route.Typed(s.runs.ListRuns), Summary: "List runs, newest first"},
		{Method: "GET", Pattern: all + "/counts", Scope: access.Read, Typed: route.Typed(s.runs.CountRuns), Summary: "Count runs by state and health"},
		{Method: "GET", Pattern: "/api/v1/overview", Scope: access.Read, Typed: route.Typed(s.runs.GetOverview), Summary: "Get what needs attention, what is active and the last day of each job"},
		{Method: "GET", Pattern: "/api/v1/fleet", Scope: access.Read, Typed: route.Typed(s.runs.GetFleet), Summary: "Tell what agents and server are doing"},
		{Method: "GET", Pattern: run, Scope: access.Read, Typed: route.Typed(s.runs.GetRun), Summary: "Get one run"},
		{Method: "GET", Pattern: run + "/events", Scope: access.Read, Typed: route.Typed(s.runs.ListEvents), Summary: "List every change of a run's state and health"},
		{
			Method: "GET", Pattern: run + "/log", Scope: access.Read, Handle: s.logs.GetLog, Stream: true,
			Summary: "Read what a run printed", Doc: logsapi.DocLog,
		},
		{
			Method: "GET", Pattern: run + "/log/search", Scope: access.Read, Handle: s.logs.SearchLog, Stream: true,
			Summary: "Search what a run printed", Doc: logsapi.DocSearch,
		},
		{
			Method: "GET", Pattern: run + "/samples", Scope: access.Read, Handle: s.runs.GetSamples,
			Summary: "Read CPU, memory and IO over time", Doc: runs.DocSamples,
		},
		{
			Method: "GET", Pattern: run + "/stream", Scope: access.Read, Handle: s.live.StreamRun, Stream: true,
			Summary: "Follow one run live (SSE)", Doc: live.DocStreamRun,
		},
		{
			Method: "GET", Pattern: "/api/v1/stream", Scope: access.Read, Handle: s.live.StreamAll, Stream: true,
			Summary: "Follow changes of all runs live (SSE)", Doc: live.DocStreamAll,
		},
		// Acting.
		{Method: "POST", Pattern: all + "/cancel", Scope: access.Write, Typed: route.Typed(s.outbox.CancelRuns), Summary: "Ask several runs to stop"},
		{Method: "POST", Pattern: run + "/cancel", Scope: access.Write, Typed: route.Typed(s.outbox.CancelRun), Summary: "Ask a run to stop"},
	}
}

func (s *Server) ownRoutes() []route.Row {
	return []route.Row{
		// The wire of the original tiny agent.
		{
			Method: "PUT", Pattern: "/compat/{job}/status", Scope: access.Agent, Handle: s.ping.PutCompatStatus,
			Summary: "Report started, completed or failed", Doc: ping.DocCompatStatus,
		},
		{
			Method: "PUT", Pattern: "/compat/{job}/heartbeat", Scope: access.Agent, Handle: s.ping.PutCompatHeartbeat,
			Summary: "Report a sign of life", Doc: ping.DocCompatHeartbeat,
		},

		// The server itself.
		{Method: "GET", Pattern: "/healthz", Scope: access.Public, Handle: s.getHealthz, Summary: "Tell whether the process lives", Doc: docHealthz},
		{Method: "GET", Pattern: "/readyz", Scope: access.Public, Handle: s.getReadyz, Summary: "Tell whether the server can do its work", Doc: docReadyz},
		{Method: "GET", Pattern: "/metrics", Scope: access.Read, Handle: s.getMetrics, Summary: "Read the server's own figures", Doc: docMetrics},
		{Method: "GET", Pattern: "/api/openapi.json", Scope: access.Public, Handle: s.getOpenAPI, Summary: "Get this interface as OpenAPI 3.1", Doc: docOpenAPI},
		{Method: "GET", Pattern: "/api/docs", Scope: access.Public, Handle: s.getDocs, Summary: "Read this interface as a page", Doc: docPage},
	}
}

// jobRoutes are the rows about jobs.
func (s *Server) jobRoutes() []route.Row {
	return []route.Row{
		{Method: "GET", Pattern: "/api/v1/jobs", Scope: access.Read, Typed: route.Typed(s.runs.ListJobs), Summary: "List jobs with their figures, in the order of names"},
		{Method: "GET", Pattern: "/api/v1/jobs/{job}", Scope: access.Read, Typed: route.Typed(s.runs.GetJob), Summary: "Get one job with its figures"},
		{Method: "DELETE", Pattern: "/api/v1/jobs/{job}", Scope: access.Admin, Typed: route.Typed(s.runs.DeleteJob), Stream: true, Summary: "Delete a job with all its runs"},
		{
			Method: "GET", Pattern: "/api/v1/jobs/{job}/badge.svg", Scope: s.badgeScope(), Handle: s.runs.GetBadge,
			Summary: "Get a badge with the state of a job's last run", Doc: runs.DocBadge,
		},
	}
}

// badgeScope is what reading a badge needs.
func (s *Server) badgeScope() access.Scope {
	if s.cfg.PublicBadges {
		return access.Public
	}
	return access.Read
}

// healthRoutes are the rows about judgement.
func (s *Server) healthRoutes() []route.Row {
	const (
		run = "/api/v1/runs/{run}"
		own = "/api/v1/jobs/{job}/policy"
	)
	return []route.Row{
		{Method: "GET", Pattern: run + "/explain", Scope: access.Read, Typed: route.Typed(s.health.ExplainRun), Summary: "Tell what every health rule makes of a run, on what figures, and what would happen next"},
		{Method: "GET", Pattern: run + "/changes", Scope: access.Read, Typed: route.Typed(s.health.ListChanges), Summary: "List what changed since the last good run of the job, or since another run"},
		{Method: "GET", Pattern: run + "/neighbors", Scope: access.Read, Typed: route.Typed(s.health.GetNeighbors), Summary: "Get the runs of the job that started just before and just after a run"},
		{Method: "GET", Pattern: run + "/band", Scope: access.Read, Typed: route.Typed(s.runs.GetBand), Summary: "Get what the last good runs before this one used over time"},
		{Method: "GET", Pattern: own, Scope: access.Read, Typed: route.Typed(s.health.GetPolicy), Summary: "Get the policy of a job"},
		{Method: "PUT", Pattern: own, Scope: access.Write, Handle: s.health.PutPolicy, Summary: "Set the policy of a job", Doc: healthapi.DocPutPolicy},
		{Method: "DELETE", Pattern: own, Scope: access.Write, Typed: route.Typed(s.health.DeletePolicy), Summary: "Let the default policy hold for a job"},
		{Method: "POST", Pattern: own + "/test", Scope: access.Read, Handle: s.health.TestPolicy, Stream: true, Summary: "Tell what a policy would have raised and missed in the stored runs of a job", Doc: healthapi.DocTestPolicy},
	}
}

// actionRoutes are the rows about notifications and actions.
func (s *Server) actionRoutes() []route.Row {
	const (
		run    = "/api/v1/runs/{run}"
		routes = "/api/v1/routes"
	)
	return []route.Row{
		{Method: "GET", Pattern: run + "/actions", Scope: access.Read, Typed: route.Typed(s.outbox.ListRunActions), Summary: "List notifications and actions of a run, newest first"},
		{Method: "GET", Pattern: "/api/v1/actions", Scope: access.Read, Typed: route.Typed(s.outbox.ListActions), Summary: "List notifications and actions of all runs, newest first"},
		{Method: "GET", Pattern: run + "/retry", Scope: access.Read, Typed: route.Typed(s.outbox.GetRetry), Summary: "Get whether a run can be retried, and the command that starts its job again"},
		{Method: "POST", Pattern: run + "/retry", Scope: access.Write, Typed: route.Typed(s.outbox.RetryRun), Summary: "Ask the waiting agent of a run that has ended for another attempt"},
		{Method: "POST", Pattern: run + "/acknowledge", Scope: access.Write, Typed: route.Typed(s.outbox.AcknowledgeRun), Summary: "Acknowledge the failure or finding of a run, so that nobody is notified again"},
		{Method: "DELETE", Pattern: run + "/acknowledge", Scope: access.Write, Typed: route.Typed(s.outbox.UnacknowledgeRun), Summary: "Take the acknowledgement of a run back"},
		{Method: "GET", Pattern: routes, Scope: access.Admin, Typed: route.Typed(s.outbox.ListRoutes), Summary: "List the routes of notifications"},
		{Method: "PUT", Pattern: routes + "/{name}", Scope: access.Admin, Typed: route.Typed(s.outbox.PutRoute), Summary: "Set a route of notifications"},
		{Method: "DELETE", Pattern: routes + "/{name}", Scope: access.Admin, Typed: route.Typed(s.outbox.DeleteRoute), Summary: "Delete a route of notifications"},
		{Method: "POST", Pattern: routes + "/{name}/test", Scope: access.Admin, Typed: route.Typed(s.outbox.TestRoute), Summary: "Send a test message through a route, at once"},
	}
}

// accessRoutes are about who may come in and what they did.
func (s *Server) accessRoutes() []route.Row {
	const v1 = "/api/v1"
	return []route.Row{
		{Method: "GET", Pattern: v1 + "/me", Scope: access.Public, Handle: s.access.GetMe, Summary: "Tell who I am here, and how to log in", Doc: accessapi.DocMe},
		{Method: "POST", Pattern: v1 + "/login", Scope: access.Public, Handle: s.access.PostLogin, Summary: "Change a token into a session's cookie", Doc: accessapi.DocLogin},
		{Method: "POST", Pattern: v1 + "/logout", Scope: access.Public, Handle: s.access.PostLogout, Summary: "End the session", Doc: accessapi.DocLogout},
		{Method: "GET", Pattern: v1 + "/oidc/start", Scope: access.Public, Handle: s.access.GetOIDCStart, Summary: "Go to the identity provider", Doc: accessapi.DocOIDCStart},
		{Method: "GET", Pattern: v1 + "/oidc/callback", Scope: access.Public, Handle: s.access.GetOIDCCallback, Summary: "Come back from the identity provider", Doc: accessapi.DocOIDCCallback},
		{Method: "GET", Pattern: v1 + "/tokens", Scope: access.Admin, Typed: route.Typed(s.access.ListTokens), Summary: "List tokens, without their secrets"},
		{Method: "POST", Pattern: v1 + "/tokens", Scope: access.Admin, Typed: route.Typed(s.access.CreateToken), Summary: "Make a token; the answer is the only one with its secret"},
		{Method: "DELETE", Pattern: v1 + "/tokens/{id}", Scope: access.Admin, Typed: route.Typed(s.access.RevokeToken), Summary: "Revoke a token"},
		{Method: "GET", Pattern: v1 + "/settings", Scope: access.Read, Typed: route.Typed(s.getSettings), Summary: "Tell how this server was started"},
		{Method: "GET", Pattern: v1 + "/troubled", Scope: access.Read, Typed: route.Typed(s.runs.ListTroubled), Summary: "List what the server could not do for single items, and tries again later"},
		{Method: "GET", Pattern: v1 + "/audit", Scope: access.Admin, Typed: route.Typed(s.access.ListAudit), Summary: "List what people changed, newest first"},
	}
}

func (s *Server) readBackRoutes() []route.Row {
	return []route.Row{{
		Method: "GET", Pattern: "/api/v1/runs/{run}/attempts/{attempt}/journal/rest", Scope: access.Agent,
		Handle: s.logs.GetJournalRest, Stream: true, Summary: "Read one's own journal back", Doc: logsapi.DocJournalRest,
	}}
}
