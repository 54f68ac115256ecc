// Package access holds the rules about who may do what: scopes, tokens, sessions, and which
// connections are trusted without a token; and the entries of the audit log, which say who did
// what. The rules are pure functions; the one question to the kernel, whose connection it is,
// has a file of its own.
package access

// Scope is what a token may do. A route asks for one; admin covers all, author covers write, and
// write covers read.
type Scope string

// The scopes. Public is not for tokens: it marks a route that needs none.
const (
	Public Scope = ""
	Agent  Scope = "agent" // append journals and beat, nothing else
	Read   Scope = "read"
	Write  Scope = "write" // read, submit jobs, cancel, retry, set policies
	// Author says what runs on workers: definitions of jobs, commands without one, limits of groups.
	Author Scope = "author"
	Admin  Scope = "admin"
)

// Scopes are those that a token may have.
var Scopes = []Scope{Agent, Read, Write, Author, Admin}

// Valid reports whether a token may have the scope.
func (s Scope) Valid() bool {
	switch s {
	case Agent, Read, Write, Author, Admin:
		return true
	}
	return false
}

// Allows reports whether a token of scope s may do what needs the scope wanted.
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
