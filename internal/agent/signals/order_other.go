//go:build !linux || !(amd64 || arm64)

package signals

// recordOrder does nothing on this system.
func recordOrder() {}
