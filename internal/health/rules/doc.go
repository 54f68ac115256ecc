// Package rules has the health rules as pure functions of a lease, the time, and what the monitor
// knows: judge.go decides whether a run is silent or lost, heartbeats.go and memory.go judge what its
// heartbeats report, explain.go explains all results, and replay.go applies a policy to a stored run.
// Only the server's clock counts.
package rules
