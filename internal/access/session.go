package access

import "time"

// Session is a person who is logged in to the page. Its secret is in the person's cookie;
// only the secret's hash is stored.
type Session struct {
	Hash      []byte // SHA-256 of the secret
	Who       string // name of the token, or of the person at the identity provider
	Scope     string // read, write, author, admin
	Via       string // token, oidc
	Token     string // ID of the token it was created with; empty for none
	Identity  string // Identity of a person as JSON; empty for a token
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Login is a started login at an identity provider that has not returned yet.
type Login struct {
	Hash      []byte // SHA-256 of the state parameter
	ReturnTo  string // path of the page that the person requested
	ExpiresAt time.Time
}

// AuditEntry is a write request of a person: its sender, its address, its change, and its result.
type AuditEntry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who" doc:"Name of the token or person; empty where the server needs no token"`
	Via     string    `json:"via" enum:"none,token,session,oidc,command"`
	Address string    `json:"address" doc:"Where the request came from"`
	Action  string    `json:"action" doc:"Method and route, or the command"`
	Target  string    `json:"target" doc:"The path asked for"`
	Status  int       `json:"status" doc:"HTTP status of the answer"`
	Detail  string    `json:"detail,omitempty" doc:"What was changed, where the path does not say it: versions of definitions"`
}
