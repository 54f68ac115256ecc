//go:build race

package schedule

// With the race detector, which slows these loops down ten times and has nothing to find in them, the tests
// look at some of the years, zones and expressions, chosen at random; make test runs them whole without it.
const (
	years         = 2
	eachChange    = 8
	randomEntries = 150
)
