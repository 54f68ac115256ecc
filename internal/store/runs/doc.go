// Package runs answers questions about runs, jobs and events.
//
// The ids of events rise in the order in which their readers see them, those of one run in the
// order in which they happened, and no id is given twice, also after a restore (events.go).
package runs
