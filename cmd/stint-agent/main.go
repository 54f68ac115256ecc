// Stint-agent is the agent alone: it runs a job and reports it to a tracking server.
package main

import (
	"os"

	"stint.dev/stint/internal/cli/agentcmd"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(agentcmd.Main(os.Args[1:], version)) }
