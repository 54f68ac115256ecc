// Package ending reads what a run printed, as a person would who looks at the end of it: the
// last lines as a terminal showed them, and among them the one that states the error. It needs
// stored blocks of a journal, and no HTTP.
//
// The line is found by weight, not by a grammar of one program. Each line has a strength: hints,
// warnings and progress state nothing; "make: *** Error 1" is a consequence; the last line of
// stderr is a guess; a line that speaks of a failure is likely; one that says "error" states it; a
// trace of the program's own (traces.go) states it best, in the line where its kind has the
// innermost cause. A line loses weight with each one that follows it, because an error with much
// after it was handled. What is recorded in testdata/failures holds it to what real programs print.
package ending
