// Wrapper is the yardstick of the benchmarks: the least that a Go program does which starts
// a command with os/exec and reports to a server with net/http that it began, each second that
// it lives, and that it ended.
//
//	wrapper URL COMMAND [ARG…]
package main

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"time"
)

func main() {
	base := os.Args[1]
	cmd := exec.Command(os.Args[2], os.Args[3:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	report(base + "/start")
	if err := cmd.Start(); err != nil {
		os.Exit(127)
	}
	go func() {
		for range time.Tick(time.Second) {
			report(base + "/alive")
		}
	}()
	_ = cmd.Wait() // the exit code says it
	report(base + "/end")
	os.Exit(cmd.ProcessState.ExitCode())
}

func report(url string) {
	req, err := http.NewRequest(http.MethodPut, url, http.NoBody)
	if err != nil {
		return
	}
	if resp, err := http.DefaultClient.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
