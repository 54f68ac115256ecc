// Package ping serves two wires whose calls name a job and not a run: that of the original tiny agent (compat.go), which has
// start, end and heartbeat, and that of Healthchecks (checks.go). The rules, in rules.go and checkrules.go, decide to
// which run a call belongs; journal.go writes the journal of that run.
package ping
