//go:build linux || darwin

package process

// LookPath is where Start finds a program: on the PATH in env, seen from dir. It reports
// false when there is none that can be run.
func LookPath(program, dir string, env []string) (string, bool) {
	path, err := lookPath(program, dir, env)
	return path, err == nil
}
