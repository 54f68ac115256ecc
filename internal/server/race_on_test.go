//go:build race

package server_test

// underRace says that allocations are not those of the program alone: the race detector
// empties every sync.Pool at random.
const underRace = true
