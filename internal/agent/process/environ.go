package process

import _ "unsafe" // for go:linkname

// Environ is the environment of this process as its caller gave it. os.Environ leaves out what is
// there twice.
func Environ() []string { return environ() }

//go:linkname environ syscall.runtime_envs
func environ() []string
