// Package logs reads what a run printed, as a person would who looks at the end of it: the
// last lines as a terminal showed them, and among them the one that states the error. It needs
// stored blocks of a journal, and no HTTP.
package logs
