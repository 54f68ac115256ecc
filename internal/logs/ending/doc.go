// Package ending reads the end of a run's output as a person would read it: the
// last lines as a terminal showed them, and among them the line that states the error. It reads
// stored blocks of a journal and does not know HTTP.
//
// It selects the line by weights, not by the grammar of one program. Each line has a strength: hints,
// warnings and progress state nothing; "make: *** Error 1" is a consequence; the last line of
// stderr is a guess; a line that mentions a failure is likely; a line with "error" states it; a
// stack trace (traces.go) states it best, in the line that has the
// innermost cause. A line loses weight with each line that follows it, because an error before many
// other lines was handled. The tests compare it with the recorded output of real programs in testdata/failures.
package ending
