package agent

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"stint.dev/stint/internal/agent/signals"
)

// child is the command line of this test binary as another program; the variable
// AGENT_TEST_CHILD says which.
func child(args ...string) []string { return append([]string{os.Args[0]}, args...) }

func childMain() int {
	switch os.Getenv("AGENT_TEST_CHILD") {
	case "random":
		mib, err := strconv.Atoi(os.Args[2])
		if err != nil {
			return 2
		}
		if _, err := os.Stdout.Write(randomBytes(mib << 20)); err != nil {
			return 1
		}
		return 0
	case "hang":
		<-time.After(time.Minute)
		return 0
	case "send":
		return childSend()
	case "agent":
		return childAgent()
	case "suspend":
		return childSuspend()
	}
	fmt.Fprintln(os.Stderr, "unknown child")
	return 2
}

// childSend sends its arguments up to "--" to NOTIFY_SOCKET, and becomes the program after it.
func childSend() int {
	for i, arg := range os.Args[1:] {
		if arg == "--" {
			path, err := exec.LookPath(os.Args[i+2])
			if err == nil {
				err = syscall.Exec(path, os.Args[i+2:], os.Environ())
			}
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
		c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"})
		if err == nil {
			_, err = c.Write([]byte(arg))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		c.Close()
	}
	return 2
}

// childAgent is an agent with no server, for tests that kill it.
func childAgent() int {
	return Run(context.Background(), Config{
		Run: testRun, Attempt: 1, Job: "killed", Args: []string{"sh", "-c", os.Args[3]}, Env: []string{"PATH=" + os.Getenv("PATH")},
		StateDir: os.Args[2], Stdout: os.Stdout, Version: "test", Host: "here", BootID: os.Getenv("TEST_BOOT"),
	}).ExitCode
}

// childSuspend is an agent that can be suspended. Its job prints a line for each SIGWINCH, and ignores
// SIGHUP.
func childSuspend() int {
	taken := signals.Take()
	taken.Wait()
	run := fmt.Sprintf("01890a5d-ac96-774b-bccd-%012d", os.Getpid()) // beside other tests on this host
	return Run(context.Background(), Config{
		Run: run, Attempt: 1, Job: "suspended", Args: []string{"sh", "-c", `trap 'echo continued' WINCH; trap '' HUP; echo ready; while :; do sleep 0.02; done`},
		Env: []string{"PATH=" + os.Getenv("PATH")}, StateDir: os.Args[1], Stdout: os.Stdout, Version: "test", Host: "here",
		Signals: taken.C, SuspendSelf: signals.SuspendSelf,
	}).ExitCode
}

// randomBytes is the same at each call, and compresses badly.
func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1, 2, 3}).Read(b) // never fails
	return b
}
