//go:build !linux

package overlap

// isAncestor is not known here: only a run around the start that its environment names is.
func isAncestor(int, uint64) bool { return false }
