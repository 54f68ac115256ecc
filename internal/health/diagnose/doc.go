// Package diagnose finds the probable causes why a run failed, was lost or stalls: investigate.go reads the clues,
// diagnose.go weighs the causes, and changes.go compares the run with the last good one.
package diagnose
