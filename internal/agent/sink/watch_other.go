//go:build !linux

package sink

import "os"

// Watch is not possible here: the next write shows that a reader has gone away.
type Watch struct{}

// NewWatch returns nil: nothing is watched.
func NewWatch(...*os.File) *Watch { return nil }

// Next is not called without a Watch.
func (*Watch) Next() (int, bool) { return 0, false }

// Close has nothing to end.
func (*Watch) Close() {}
