//go:build !race

package schedule

const (
	years         = 21
	eachChange    = 1
	randomEntries = 1000
)
