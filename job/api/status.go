package api

import "time"

// ServerStatus is the response of /healthz and /readyz.
type ServerStatus struct {
	Status  string `json:"status"`
	Version string `json:"version"`
	// Server is the id of the installation, which is in the database: /healthz does not have it.
	Server string `json:"server,omitempty"`
	// Degraded lists what is impaired while the server is still ready: it accepts heartbeats, so
	// another server would not serve agents better.
	Degraded []string `json:"degraded,omitempty"`
	// CopiedAt is set on a restored copy, on which the server does nothing by itself.
	CopiedAt *time.Time `json:"copied_at,omitempty"`
}
