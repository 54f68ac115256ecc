// Package index turns journal bytes into what the server remembers of them: the view of
// the attempt (steps, usage, output, outcome), the head of each stored block (which lines
// and which seconds it holds), and the facts that may change the run's state. It is pure:
// bytes and the state before in, the state after out. What the server's tables hold of a
// run's journal could be folded again from it.
package index
