// Package tables reads and writes the rows of runs, attempts and events.
package tables
