// Stint runs batch jobs and keeps watch over them.
package main

import (
	"os"
	_ "time/tzdata" // quiet hours name time zones; small hosts and the container image have no data of them

	"stint.dev/stint/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() { os.Exit(cli.Main(os.Args[1:], version)) }
