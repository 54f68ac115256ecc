package process

import "unsafe" // also for go:linkname

// HideArgument overwrites the bytes from from to to of one of the strings of os.Args where the
// system keeps it, so that process listings do not show them any more. The argument must be of
// os.Args as the runtime made it: its bytes are then the process's own, and may be written.
// Copies of it stay as they are, and slices of it do not.
func HideArgument(arg string, from, to int) {
	hidden := unsafe.Slice(unsafe.StringData(arg), len(arg))[from:to]
	for i := range hidden {
		hidden[i] = '*'
	}
}

// Environ returns the environment of this process as its caller gave it. os.Environ leaves out what is
// there twice.
func Environ() []string { return environ() }

//go:linkname environ syscall.runtime_envs
func environ() []string
