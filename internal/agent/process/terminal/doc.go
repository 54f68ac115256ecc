// Package terminal makes pseudo-terminals for jobs and joins the caller's own terminal to
// one: what is typed goes to the job, byte for byte, and the caller's terminal is given
// back as it was.
package terminal
