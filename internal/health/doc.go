// Package health judges active runs: who has gone quiet, and who is lost. The rules are
// pure functions of a lease, the time and what the monitor knows besides; the monitor is
// the loop that asks the store who is due and stores the verdicts. Only the server's clock
// counts, time in which the server was away or behind counts against nobody, and a verdict
// that proves wrong is reversed when the attempt reports again.
package health
