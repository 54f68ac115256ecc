package process

import (
	"bytes"
	"fmt"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"stint.dev/stint/internal/agent/process/contain"
	"stint.dev/stint/internal/agent/process/procfs"
)

// Protect keeps other processes of this user, the job's among them, from reading the memory
// and the environment of this process and from tracing it. It ends core dumps of it, too.
// What it executes is not affected. From root nothing is hidden.
//
// Files in /proc/self that only their owner may open belong to root then. The one that is
// needed is opened before.
func Protect() error {
	contain.OpenScore()
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide the memory of this process from others of its user: %w", err)
	}
	return nil
}

// HideVariables overwrites the values of environment variables where the kernel shows them, in
// /proc/PID/environ. What the program has read of them stays.
func HideVariables(names ...string) error {
	text, err := procfs.ReadWhole("/proc/self/stat", 1<<10)
	if err != nil {
		return fmt.Errorf("hide environment variables: %w", err)
	}
	start, end, ok := environmentPlace(text)
	if !ok {
		return fmt.Errorf("hide environment variables: the kernel does not say where they are")
	}
	// The strings that the kernel put onto the first stack: the runtime copies them.
	block := unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), start)), int(end-start))
	hideVariables(block, names)
	return nil
}

// hideVariables overwrites values in a block of NUL-terminated pairs.
func hideVariables(block []byte, names []string) {
	for len(block) > 0 {
		pair := block
		if i := bytes.IndexByte(block, 0); i >= 0 {
			pair, block = block[:i], block[i+1:]
		} else {
			block = nil
		}
		for _, name := range names {
			if value, found := bytes.CutPrefix(pair, []byte(name+"=")); found {
				for i := range value {
					value[i] = '*'
				}
			}
		}
	}
}

// environmentPlace reads the fields env_start and env_end, the 50th and 51st, of a
// /proc/PID/stat. The name, the second, may hold spaces.
func environmentPlace(stat []byte) (start, end uintptr, ok bool) {
	i := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[i+1:]) // from the third
	const first = 50 - 3
	if i < 0 || len(fields) < first+2 {
		return 0, 0, false
	}
	from, err1 := strconv.ParseUint(string(fields[first]), 10, 64)
	to, err2 := strconv.ParseUint(string(fields[first+1]), 10, 64)
	const maxBytes = 64 << 20
	if err1 != nil || err2 != nil || from == 0 || to <= from || to-from > maxBytes {
		return 0, 0, false // 0 where this process may not see it
	}
	return uintptr(from), uintptr(to), true
}
