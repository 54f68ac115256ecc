package main

import (
	"os"
	"runtime"
	"strings"
	"testing"
)

// before has the stacks of all goroutines before the first test.
var before string

func TestMain(m *testing.M) {
	stacks := make([]byte, 1<<20)
	before = string(stacks[:runtime.Stack(stacks, true)])
	os.Exit(m.Run())
}

// TestNoGoroutineBeforeMain shows that nothing that is linked into the program starts a goroutine before main: each job would
// have it. What is linked into stint-agent is linked into this program too.
func TestNoGoroutineBeforeMain(t *testing.T) {
	if n := strings.Count(before, "\ngoroutine ") + 1; n != 1 || !strings.Contains(before, "main.main()") {
		t.Errorf("%d goroutines before main:\n%s", n, before)
	}
}
