// Package queue has the rules of submitted runs: what may start now, in which order, on which
// worker, who may start an attempt, and what follows its end. It is pure.
package queue
