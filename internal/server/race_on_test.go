//go:build race

package server_test

// The race detector drops a quarter of what is put into each sync.Pool, at random. The least of many
// tries is what a request allocates itself, if it takes from pools only a few times: an expression takes
// a machine for each line.
const (
	memoryTries  = 60
	hostileLines = 1
)
