// Package runs queries runs, jobs and events.
//
// The ids of events ascend in the order in which readers see them, and those of one run in the order of
// the events. No id is used twice, also after a restore from a backup (events.go).
package runs
