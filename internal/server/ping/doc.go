// Package ping serves the two calls of the original tiny agent (the compat API): the start or end of a job,
// and a heartbeat. rules.go decides to which run a call belongs; ping.go writes the journal of that run.
package ping
