// Package health judges active runs. The Monitor is the loop (monitor.go, round.go): it reads the runs that
// are due, applies the rules of package rules, and stores the verdicts; beside it, failed and stalled runs
// are diagnosed by package diagnose (diagnoser.go). The other files have what the monitor knows besides
// leases: evidence of heartbeats, policies, closed connections, outages of this server, and the common
// silence of many runs, which is the fault of the network.
//
// Only the server's clock counts, and time in which the server could not accept heartbeats does not count.
// A verdict that proves wrong is reversed when the attempt reports again.
package health
