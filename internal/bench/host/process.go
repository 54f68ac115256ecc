package host

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Field returns the number behind a name in a file of lines.
func Field(file, name string) (float64, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			return strconv.ParseFloat(words[1], 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s: %w", file, name, ErrNoFigure)
}

// MemoryMB returns the memory of a process, or the most that it has had, in MB.
func MemoryMB(pid int, most bool) (float64, error) {
	name := "VmRSS:"
	if most {
		name = "VmHWM:"
	}
	kb, err := Field(fmt.Sprintf("/proc/%d/status", pid), name)
	return kb * 1024 / 1e6, err
}

// CPU returns what all threads of a process have used, in seconds, to the nanosecond.
func CPU(pid int) (float64, error) {
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
	if err != nil || len(files) == 0 {
		return 0, fmt.Errorf("schedstat of process %d: %w", pid, ErrNoFigure)
	}
	var total float64
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that has just ended
		}
		ns, err := strconv.ParseFloat(strings.Fields(string(text) + " x")[0], 64)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		total += ns / 1e9
	}
	return total, nil
}
