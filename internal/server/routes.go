package server

import (
	"net/http"
	"slices"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/definition"
	accessapi "stint.dev/stint/internal/server/access"
	"stint.dev/stint/internal/server/definitions"
	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/intake"
	"stint.dev/stint/internal/server/jobmetrics"
	"stint.dev/stint/internal/server/live"
	logsapi "stint.dev/stint/internal/server/logs"
	"stint.dev/stint/internal/server/ping"
	"stint.dev/stint/internal/server/queue"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/internal/server/runs"
)

// routes returns the route table. Every route of the server is a row here and nowhere else.
func (s *Server) routes() []route.Row {
	return slices.Concat(s.runRoutes(), s.jobRoutes(), s.readBackRoutes(), s.healthRoutes(), s.actionRoutes(), s.definitionRoutes(), s.queueRoutes(), s.accessRoutes(), s.serverRoutes())
}

// runRoutes returns the rows about runs.
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
		{Method: "GET", Pattern: "/api/v1/overview", Scope: access.Read, Typed: route.Typed(s.runs.GetOverview), Summary: "Get the runs that need attention, the active runs and the last day of each job"},
		{Method: "GET", Pattern: "/api/v1/fleet", Scope: access.Read, Typed: route.Typed(s.runs.GetFleet), Summary: "Get the load of agents, hosts and server"},
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
		// Changing.
		{Method: "POST", Pattern: all + "/cancel", Scope: access.Write, Typed: route.Typed(s.outbox.CancelRuns), Summary: "Ask several runs to stop"},
		{Method: "POST", Pattern: run + "/cancel", Scope: access.Write, Typed: route.Typed(s.outbox.CancelRun), Summary: "Ask a run to stop"},
		{Method: "DELETE", Pattern: run, Scope: access.Admin, Typed: route.Typed(s.runs.DeleteRun), Stream: true, Summary: "Delete a run that has ended, with its log"},
	}
}

// serverRoutes returns the rows of the compat API and of the server itself.
func (s *Server) serverRoutes() []route.Row {
	return slices.Concat([]route.Row{
		// The API of the original tiny agent.
		{
			Method: "PUT", Pattern: "/compat/{job}/status", Scope: access.Agent, Handle: s.ping.PutCompatStatus,
			Summary: "Report started, completed or failed", Doc: ping.DocCompatStatus,
		},
		{
			Method: "PUT", Pattern: "/compat/{job}/heartbeat", Scope: access.Agent, Handle: s.ping.PutCompatHeartbeat,
			Summary: "Report a sign of life", Doc: ping.DocCompatHeartbeat,
		},
	}, s.pingRoutes(), []route.Row{
		// The server itself.
		{Method: "GET", Pattern: "/healthz", Scope: access.Public, Handle: s.getHealthz, Summary: "Check that the process runs", Doc: docHealthz},
		{Method: "GET", Pattern: "/readyz", Scope: access.Public, Handle: s.getReadyz, Summary: "Check that the server can serve requests", Doc: docReadyz},
		{Method: "GET", Pattern: "/metrics", Scope: access.Read, Handle: s.getMetrics, Summary: "Get the metrics of the server", Doc: docMetrics},
		{Method: "GET", Pattern: "/metrics/jobs", Scope: access.Read, Handle: s.jobMetrics.Get, Summary: "Get the metrics of jobs", Doc: jobmetrics.Doc},
		{Method: "GET", Pattern: "/api/openapi.json", Scope: access.Public, Handle: s.getOpenAPI, Summary: "Get the OpenAPI 3.1 document of this API", Doc: docOpenAPI},
		{Method: "GET", Pattern: "/api/docs", Scope: access.Public, Handle: s.getDocs, Summary: "Get the documentation of this API as a page", Doc: docPage},
	})
}

// pingRoutes returns the rows of the wire of Healthchecks. What the path has decides who may ping; ping.PathOf has the
// other paths that lead to these rows.
func (s *Server) pingRoutes() (out []route.Row) {
	for _, one := range []struct {
		pattern, text string
		handle        http.HandlerFunc
		doc           route.Doc
	}{
		{"/ping/{uuid}", "Report a success of a job", s.ping.PingUUID, ping.DocPingUUID},
		{"/ping/{key}/{slug}", "Report a success of a job, or a signal", s.ping.PingSlug, ping.DocPingSlug},
		{"/ping/{key}/{slug}/{signal}", "Report a start, a failure, output or an exit code of a job", s.ping.PingSignal, ping.DocPingSignal},
	} {
		for _, method := range []string{"GET", "POST", "PUT"} {
			out = append(out, route.Row{Method: method, Pattern: one.pattern, Scope: access.Public, Handle: one.handle, Body: ping.BodyLimit, Summary: one.text, Doc: one.doc})
		}
		out = append(out, route.Row{
			Method: "OPTIONS", Pattern: one.pattern, Scope: access.Public, Handle: s.ping.Options,
			Summary: "Ask whether a page may ping", Doc: ping.DocPingOptions,
		})
	}
	return out
}

// jobRoutes returns the rows about jobs.
func (s *Server) jobRoutes() []route.Row {
	const due = "/api/v1/jobs/{job}/due"
	return []route.Row{
		{Method: "GET", Pattern: "/api/v1/jobs", Scope: access.Read, Typed: route.Typed(s.runs.ListJobs), Summary: "List jobs with their figures, in the order of names"},
		{Method: "GET", Pattern: "/api/v1/jobs/{job}", Scope: access.Read, Typed: route.Typed(s.runs.GetJob), Summary: "Get one job with its figures"},
		{Method: "DELETE", Pattern: "/api/v1/jobs/{job}", Scope: access.Admin, Typed: route.Typed(s.runs.DeleteJob), Stream: true, Summary: "Delete a job with all its runs"},
		{Method: "GET", Pattern: due, Scope: access.Read, Typed: route.Typed(s.due.GetDue), Summary: "Get when a job is expected to be started, and what was missed"},
		{Method: "PUT", Pattern: due, Scope: access.Write, Typed: route.Typed(s.due.PutDue), Summary: "Set when a job is expected to be started"},
		{Method: "GET", Pattern: due + "/times", Scope: access.Read, Typed: route.Typed(s.due.ListDueTimes), Summary: "Compute the due times that an expectation would have"},
		{Method: "DELETE", Pattern: due, Scope: access.Write, Typed: route.Typed(s.due.DeleteDue), Summary: "Delete when a job is expected to be started"},
		{Method: "POST", Pattern: due + "/pause", Scope: access.Write, Typed: route.Typed(s.due.PauseDue), Summary: "Expect no start of a job until that is resumed"},
		{Method: "POST", Pattern: due + "/resume", Scope: access.Write, Typed: route.Typed(s.due.ResumeDue), Summary: "Expect starts of a job again"},
		{Method: "GET", Pattern: "/api/v1/jobs/{job}/calendar", Scope: access.Read, Typed: route.Typed(s.definitions.GetCalendar), Summary: "Get what became of the times at which a job was due on some days, and what is due"},
		{Method: "GET", Pattern: due + "/suggestion", Scope: access.Read, Typed: route.Typed(s.due.SuggestDue), Summary: "Get the expectation that the starts of a job fit which nobody expects"},
		{Method: "DELETE", Pattern: due + "/suggestion", Scope: access.Write, Typed: route.Typed(s.due.DismissSuggestion), Summary: "Suggest no expectation for a job any more"},
		{
			Method: "GET", Pattern: "/api/v1/jobs/{job}/badge.svg", Scope: s.badgeScope(), Handle: s.runs.GetBadge,
			Summary: "Get a badge with the state of a job's last run", Doc: runs.DocBadge,
		},
	}
}

// badgeScope returns the scope that is needed to read a badge.
func (s *Server) badgeScope() access.Scope {
	if s.cfg.PublicBadges {
		return access.Public
	}
	return access.Read
}

// healthRoutes returns the rows about health rules and policies.
func (s *Server) healthRoutes() []route.Row {
	const (
		run = "/api/v1/runs/{run}"
		own = "/api/v1/jobs/{job}/policy"
	)
	return []route.Row{
		{Method: "GET", Pattern: run + "/explain", Scope: access.Read, Typed: route.Typed(s.health.ExplainRun), Summary: "Explain the result of every health rule for a run, with its inputs and what happens next"},
		{Method: "GET", Pattern: run + "/changes", Scope: access.Read, Typed: route.Typed(s.health.ListChanges), Summary: "List what changed since the last good run of the job, or since another run"},
		{Method: "GET", Pattern: run + "/neighbors", Scope: access.Read, Typed: route.Typed(s.health.GetNeighbors), Summary: "Get the runs of the job that started just before and just after a run"},
		{Method: "GET", Pattern: run + "/band", Scope: access.Read, Typed: route.Typed(s.runs.GetBand), Summary: "Get what the last good runs before this one used over time"},
		{Method: "GET", Pattern: own, Scope: access.Read, Typed: route.Typed(s.health.GetPolicy), Summary: "Get the policy of a job"},
		{Method: "PUT", Pattern: own, Scope: access.Write, Handle: s.health.PutPolicy, Summary: "Set the policy of a job", Doc: healthapi.DocPutPolicy},
		{Method: "DELETE", Pattern: own, Scope: access.Write, Typed: route.Typed(s.health.DeletePolicy), Summary: "Delete the policy of a job, so that the default policy applies"},
		{Method: "POST", Pattern: own + "/test", Scope: access.Read, Handle: s.health.TestPolicy, Stream: true, Summary: "Test a policy against the stored runs of a job", Doc: healthapi.DocTestPolicy},
	}
}

// actionRoutes returns the rows about notifications and actions.
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
		{Method: "DELETE", Pattern: run + "/acknowledge", Scope: access.Write, Typed: route.Typed(s.outbox.UnacknowledgeRun), Summary: "Remove the acknowledgement of a run"},
		{Method: "GET", Pattern: routes, Scope: access.Admin, Typed: route.Typed(s.outbox.ListRoutes), Summary: "List the routes of notifications"},
		{Method: "PUT", Pattern: routes + "/{name}", Scope: access.Admin, Typed: route.Typed(s.outbox.PutRoute), Summary: "Set a route of notifications"},
		{Method: "DELETE", Pattern: routes + "/{name}", Scope: access.Admin, Typed: route.Typed(s.outbox.DeleteRoute), Summary: "Delete a route of notifications"},
		{Method: "POST", Pattern: routes + "/{name}/test", Scope: access.Admin, Typed: route.Typed(s.outbox.TestRoute), Summary: "Send a test message through a route, at once"},
	}
}

// definitionRoutes are the rows about what jobs are when the server starts them.
func (s *Server) definitionRoutes() []route.Row {
	const (
		all       = "/api/v1/definitions"
		one       = all + "/{job}"
		schedules = "/api/v1/schedules"
		ofJob     = schedules + "/{job}"
	)
	d := s.definitions
	return []route.Row{
		{Method: "GET", Pattern: all, Scope: access.Read, Typed: route.Typed(d.ListDefinitions), Summary: "List the definitions of jobs, in the order of names"},
		{Method: "POST", Pattern: all, Scope: access.Author, Handle: d.PostApply, Body: definitions.MaxApply, Summary: "Apply definitions, all or none", Doc: definitions.DocApply},
		{Method: "GET", Pattern: one, Scope: access.Read, Typed: route.Typed(d.GetDefinition), Summary: "Get the definition of a job, or one version of it"},
		{Method: "PUT", Pattern: one, Scope: access.Author, Handle: d.PutDefinition, Body: definition.MaxSize, Summary: "Change or create the definition of a job", Doc: definitions.DocPut},
		{Method: "DELETE", Pattern: one, Scope: access.Author, Typed: route.Typed(d.DeleteDefinition), Summary: "Delete the definition of a job; its runs stay"},
		{Method: "GET", Pattern: one + "/versions", Scope: access.Read, Typed: route.Typed(d.ListVersions), Summary: "List the versions of a definition, the last first, with what each changed"},
		{Method: "GET", Pattern: one + "/diff", Scope: access.Read, Typed: route.Typed(d.DiffVersions), Summary: "Get what differs between two versions of a definition"},
		{Method: "POST", Pattern: one + "/pause", Scope: access.Write, Typed: route.Typed(d.PauseJob), Summary: "Keep a job from being started"},
		{Method: "POST", Pattern: one + "/resume", Scope: access.Write, Typed: route.Typed(d.ResumeJob), Summary: "End the pause of a job"},
		{Method: "GET", Pattern: schedules, Scope: access.Read, Typed: route.Typed(d.ListSchedules), Summary: "List when the server starts jobs by itself"},
		{Method: "GET", Pattern: schedules + "/times", Scope: access.Read, Typed: route.Typed(d.ListTimes), Summary: "List the next times of schedules"},
		{Method: "GET", Pattern: ofJob + "/occurrences", Scope: access.Read, Typed: route.Typed(d.ListOccurrences), Summary: "List what became of the times of a job's schedules, the last first"},
		{Method: "POST", Pattern: ofJob + "/backfill", Scope: access.Write, Typed: route.Typed(d.PostBackfill), Summary: "Make the runs of times that have passed and have none"},
		{Method: "POST", Pattern: ofJob + "/{number}/pause", Scope: access.Write, Typed: route.Typed(d.PauseSchedule), Summary: "Keep a schedule from starting its job"},
		{Method: "POST", Pattern: ofJob + "/{number}/resume", Scope: access.Write, Typed: route.Typed(d.ResumeSchedule), Summary: "End the pause of a schedule"},
		{Method: "GET", Pattern: "/schema/definition.json", Scope: access.Public, Handle: d.GetSchema, Summary: "Get the JSON Schema of a definition", Doc: definitions.DocSchema},
	}
}

// queueRoutes returns the rows about submissions, the queue, groups and workers.
func (s *Server) queueRoutes() []route.Row {
	const (
		all    = "/api/v1/queue"
		run    = "/api/v1/runs/{run}"
		groups = "/api/v1/groups"
		group  = groups + "/{group}"
		worker = "/api/v1/workers/{worker}"
		claims = worker + "/claims"
	)
	q := s.queue
	return []route.Row{
		{Method: "PUT", Pattern: run, Scope: access.Write, Handle: q.PutRun, Body: queue.MaxSubmission, Summary: "Submit a run of a job or command", Doc: queue.DocSubmit},
		{Method: "GET", Pattern: all, Scope: access.Read, Typed: route.Typed(q.ListQueue), Summary: "List queued runs, with what each waits for"},
		{Method: "POST", Pattern: all + "/release", Scope: access.Write, Typed: route.Typed(q.ReleaseQueue), Summary: "Let held runs start"},
		{Method: "POST", Pattern: run + "/priority", Scope: access.Write, Typed: route.Typed(q.SetPriority), Summary: "Give a queued run another priority"},
		{Method: "GET", Pattern: groups, Scope: access.Read, Typed: route.Typed(q.ListGroups), Summary: "List groups with their limits"},
		{Method: "PUT", Pattern: group, Scope: access.Author, Typed: route.Typed(q.PutGroup), Summary: "Set how many runs of a group may be active at once"},
		{Method: "DELETE", Pattern: group, Scope: access.Author, Typed: route.Typed(q.DeleteGroup), Summary: "Delete a group; its runs have no common limit any more"},
		{Method: "GET", Pattern: "/api/v1/workers", Scope: access.Read, Typed: route.Typed(q.ListWorkers), Summary: "List workers with their slots and labels"},
		{Method: "POST", Pattern: worker + "/drain", Scope: access.Write, Typed: route.Typed(q.DrainWorker), Summary: "Give a worker no more runs"},
		{Method: "POST", Pattern: worker + "/resume", Scope: access.Write, Typed: route.Typed(q.ResumeWorker), Summary: "End the drain of a worker"},
		{
			Method: "POST", Pattern: claims, Scope: access.Worker, Handle: q.PostClaims, Body: queue.MaxClaim, Stream: true,
			Summary: "Ask for runs, as a worker", Doc: queue.DocClaims,
		},
		{Method: "POST", Pattern: claims + "/{claim}/release", Scope: access.Worker, Typed: route.Typed(q.ReleaseClaim), Summary: "Give a claim back, as a worker"},
	}
}

// accessRoutes returns the rows about logins, tokens and the audit log.
func (s *Server) accessRoutes() []route.Row {
	const v1 = "/api/v1"
	return []route.Row{
		{Method: "GET", Pattern: v1 + "/me", Scope: access.Public, Handle: s.access.GetMe, Summary: "Get the identity of the caller, and the ways to log in", Doc: accessapi.DocMe},
		{Method: "POST", Pattern: v1 + "/login", Scope: access.Public, Handle: s.access.PostLogin, Summary: "Log in with a token", Doc: accessapi.DocLogin},
		{Method: "POST", Pattern: v1 + "/logout", Scope: access.Public, Handle: s.access.PostLogout, Summary: "End the session", Doc: accessapi.DocLogout},
		{Method: "GET", Pattern: v1 + "/oidc/start", Scope: access.Public, Handle: s.access.GetOIDCStart, Summary: "Begin a login at the identity provider", Doc: accessapi.DocOIDCStart},
		{Method: "GET", Pattern: v1 + "/oidc/callback", Scope: access.Public, Handle: s.access.GetOIDCCallback, Summary: "Complete a login at the identity provider", Doc: accessapi.DocOIDCCallback},
		{Method: "GET", Pattern: v1 + "/tokens", Scope: access.Admin, Typed: route.Typed(s.access.ListTokens), Summary: "List tokens, without their secrets"},
		{Method: "POST", Pattern: v1 + "/tokens", Scope: access.Admin, Typed: route.Typed(s.access.CreateToken), Summary: "Create a token; only this response has its secret"},
		{Method: "DELETE", Pattern: v1 + "/tokens/{id}", Scope: access.Admin, Typed: route.Typed(s.access.RevokeToken), Summary: "Revoke a token"},
		{Method: "GET", Pattern: v1 + "/settings", Scope: access.Read, Typed: route.Typed(s.getSettings), Summary: "Get the settings of this server"},
		{Method: "GET", Pattern: v1 + "/troubled", Scope: access.Read, Typed: route.Typed(s.runs.ListTroubled), Summary: "List the items that the server could not process and tries again later"},
		{Method: "GET", Pattern: v1 + "/audit", Scope: access.Admin, Typed: route.Typed(s.access.ListAudit), Summary: "List the changes that people made, newest first"},
	}
}

// readBackRoutes returns the row with which an agent reads its own journal.
func (s *Server) readBackRoutes() []route.Row {
	return []route.Row{{
		Method: "GET", Pattern: "/api/v1/runs/{run}/attempts/{attempt}/journal/rest", Scope: access.Agent,
		Handle: s.logs.GetJournalRest, Stream: true, Summary: "Read the rest of the agent's own journal", Doc: logsapi.DocJournalRest,
	}}
}
