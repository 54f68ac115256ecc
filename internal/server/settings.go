package server

import (
	"context"

	healthapi "stint.dev/stint/internal/server/health"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job/api"
)

// Settings describe how a server was started. The server only shows them.
type Settings struct {
	Version    string            `json:"version"`
	Database   string            `json:"database" enum:"sqlite,postgres"`
	Durability string            `json:"durability" enum:"full,relaxed" doc:"What is on disk before an agent gets its reply"`
	Archive    map[string]string `json:"archive" doc:"Where finished logs are kept, for people"`
	// ArchiveKind is the same for programs.
	ArchiveKind string `json:"archive_kind" enum:"database,data_directory,directory,bucket" doc:"Where finished logs are kept"`
	Keep        Keep   `json:"keep" doc:"What is kept, and for how long, as this server was started; 0 is no limit"`
	// KeepPending are the limits that do not apply yet.
	KeepPending []api.PendingKeep `json:"keep_pending,omitempty" doc:"Limits of any server on the database, and of policies, that wait because they would delete more than a tenth of all ended runs at once"`
	PublicURL   string            `json:"public_url,omitempty"`
	Address     string            `json:"address" doc:"The address that the server listens on"`
	TLS         bool              `json:"tls" doc:"The server speaks TLS itself"`
	PlainHTTP   bool              `json:"plain_http" doc:"Tokens and logs are sent over a network without TLS"`
}

// Keep is the options of retention as numbers. A zero is no limit.
type Keep struct {
	AgeSeconds  int64 `json:"age_seconds" doc:"Runs that ended longer ago are deleted"`
	RunsOfJob   int   `json:"runs_of_job" doc:"Of each job, older ended runs than the last so many are deleted"`
	TotalBytes  int64 `json:"total_bytes" doc:"The oldest runs are deleted while all journals take more"`
	RunLogBytes int64 `json:"run_log_bytes" doc:"Of longer logs the middle is deleted"`
}

// getSettings responds with the settings of this server.
func (s *Server) getSettings(ctx context.Context, _ *struct{}) (*route.Response[Settings], error) {
	out := s.cfg.Settings
	pending, err := s.cfg.Store.PendingLimits(ctx)
	if err != nil {
		return nil, s.finder.ProblemOf(ctx, "read which limits of retention wait", err)
	}
	out.KeepPending = healthapi.PendingKeeps(pending, s.now())
	out.Version, out.PublicURL = s.cfg.Version, s.cfg.PublicURL
	return route.OK(out)
}
