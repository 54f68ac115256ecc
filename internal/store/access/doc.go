// Package access stores tokens, sessions, logins, the owners of runs, and the audit log.
package access
