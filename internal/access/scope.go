// Package access contains the rules of authorization: scopes, tokens, sessions, the connections that
// need no token, and the entries of the audit log. The rules are pure functions; the query of the
// kernel for the user of a connection is in peer_linux.go.
package access

// Scope is the set of requests that a token may send. A route requires one scope; admin includes all, author
// includes write, and write includes read.
type Scope string

// The scopes. Public is not for tokens: it marks a route that needs no token.
const (
	Public Scope = ""
	Agent  Scope = "agent" // append journals and send heartbeats, nothing else
	Read   Scope = "read"
	Write  Scope = "write" // read, submit jobs, cancel, retry, set policies
	// Author says what runs on workers: definitions of jobs, commands without one, limits of groups.
	Author Scope = "author"
	Admin  Scope = "admin"
	// Worker takes queued runs, under one name and with the labels that its token has.
	Worker Scope = "worker"
	// Ping reports jobs by pings: its token is part of the path of a URL.
	Ping Scope = "ping"
)

// Scopes are the scopes that a token may have.
var Scopes = []Scope{Agent, Read, Write, Author, Admin, Worker, Ping}

// Valid reports whether a token may have the scope.
func (s Scope) Valid() bool {
	switch s {
	case Agent, Read, Write, Author, Admin, Worker, Ping:
		return true
	}
	return false
}

// Allows reports whether a token of scope s may send requests that require the scope wanted.
func (s Scope) Allows(wanted Scope) bool {
	switch {
	case wanted == Public, s == Admin, s == wanted:
		return true
	case s == Author:
		return wanted == Write || wanted == Read
	case s == Write:
		return wanted == Read
	}
	return false
}
