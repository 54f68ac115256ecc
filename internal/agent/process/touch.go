//go:build linux || darwin

package process

// touch reads the beginning of a program and of the interpreter or loader that it names, before
// a child is made for it: a file system that does not answer holds up one thread then. While a
// child is being made, the runtime of Go cannot stop its threads, and all of them would wait
// with it. What cannot be read is the exec's to refuse.
func touch(path, dir string) {
	if f := look(inDir(dir, path)); f.interpreter != "" {
		look(inDir(dir, f.interpreter))
	}
}
