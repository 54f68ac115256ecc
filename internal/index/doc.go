// Package index folds journal bytes into what the server stores of them: the view of the attempt (steps, usage, output,
// outcome), the head of each block (its lines and times), and the facts that may change the run's state. It is pure:
// it computes the state after some bytes from the state before. What the tables have of a journal can be computed again.
package index
