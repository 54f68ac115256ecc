//go:build !race

package server_test

const (
	// memoryTries is how often a request may allocate too much before it counts.
	memoryTries = 3
	// hostileLines is how many lines the log has that requests are about.
	hostileLines = 10
)
