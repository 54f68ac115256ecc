package server

import (
	"context"

	"stint.dev/stint/internal/server/route"
)

// Settings are what people may want to know of how a server was started. They are shown,
// not decided, here.
type Settings struct {
	Version    string            `json:"version"`
	Database   string            `json:"database" enum:"sqlite,postgres"`
	Durability string            `json:"durability" enum:"full,relaxed" doc:"What is on disk before an agent is answered"`
	Archive    map[string]string `json:"archive" doc:"Where finished logs are kept"`
	Retention  map[string]string `json:"retention" doc:"How much is kept; an empty one keeps everything"`
	PublicURL  string            `json:"public_url,omitempty"`
	Address    string            `json:"address" doc:"What the server listens on"`
	PlainHTTP  bool              `json:"plain_http" doc:"Tokens and logs come over a network without TLS"`
}

// getSettings answers how this server was started.
func (s *Server) getSettings(context.Context, *struct{}) (*route.Answer[Settings], error) {
	out := s.cfg.Settings
	out.Version, out.PublicURL = s.cfg.Version, s.cfg.PublicURL
	return route.OK(out)
}
