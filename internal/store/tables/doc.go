// Package tables is a run, an attempt and an event as the tables keep them.
package tables
