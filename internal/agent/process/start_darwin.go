package process

import "os"

const maxRSSUnit = 1 // ru_maxrss is in bytes

func onMainThread() bool { return false } // which does not matter here

// unnamedFile makes none: macOS always has a /dev/null.
func unnamedFile() *os.File { return nil }
