//go:build !linux

package durable

import "os"

// Data makes the bytes of a file durable.
func Data(f *os.File) error { return f.Sync() }
