package server

import (
	"context"

	"stint.dev/stint/internal/server/route"
)

// Settings describe how a server was started. The server only shows them.
type Settings struct {
	Version    string            `json:"version"`
	Database   string            `json:"database" enum:"sqlite,postgres"`
	Durability string            `json:"durability" enum:"full,relaxed" doc:"What is on disk before an agent gets its reply"`
	Archive    map[string]string `json:"archive" doc:"Where finished logs are kept"`
	Retention  map[string]string `json:"retention" doc:"What is kept, and for how long; empty if nothing is deleted"`
	PublicURL  string            `json:"public_url,omitempty"`
	Address    string            `json:"address" doc:"The address that the server listens on"`
	PlainHTTP  bool              `json:"plain_http" doc:"Tokens and logs are sent over a network without TLS"`
}

// getSettings responds with the settings of this server.
func (s *Server) getSettings(context.Context, *struct{}) (*route.Response[Settings], error) {
	out := s.cfg.Settings
	out.Version, out.PublicURL = s.cfg.Version, s.cfg.PublicURL
	return route.OK(out)
}
