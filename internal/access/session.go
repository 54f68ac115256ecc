package access

import "time"

// Session is a person who is logged in to the page. Its secret is in the person's cookie;
// only the secret's hash is stored.
type Session struct {
	Hash      []byte // SHA-256 of the secret
	Who       string // the token's name, or what the identity provider calls the person
	Scope     string // read, write, author, admin
	Via       string // token, oidc
	Token     string // id of the token it came from; empty for none
	Identity  string // of a person, as JSON; empty for a token
	CreatedAt time.Time
	ExpiresAt time.Time
	UsedAt    time.Time
}

// Login is one that was begun at an identity provider and has not come back yet.
type Login struct {
	Hash      []byte // SHA-256 of the state parameter
	ReturnTo  string // the path that the person wanted to see
	ExpiresAt time.Time
}

// AuditEntry is a write by a person: who changed what, from where, and with what result.
type AuditEntry struct {
	ID      int64     `json:"id"`
	At      time.Time `json:"at"`
	Who     string    `json:"who" doc:"Name of the token or person; empty on a server that asks nobody"`
	Via     string    `json:"via" enum:"none,token,session,oidc,command"`
	Address string    `json:"address" doc:"Where the request came from"`
	Action  string    `json:"action" doc:"Method and route, or the command"`
	Target  string    `json:"target" doc:"The path asked for"`
	Status  int       `json:"status" doc:"HTTP status of the answer"`
	Detail  string    `json:"detail,omitempty" doc:"What was changed, where the path does not say it: versions of definitions"`
}
