package command

import (
	"os"
	"strings"

	"stint.dev/stint/internal/agent/process"
)

// HideArguments removes a token, and user and password of addresses, that were given as
// arguments from the process listing. They were visible in the first moments of the program;
// the environment never is.
func HideArguments(token string, addresses ...string) {
	for _, arg := range os.Args[1:] {
		if value, _ := strings.CutPrefix(arg, "--token="); token != "" && value == token {
			process.HideArgument(arg, len(arg)-len(value), len(arg))
		}
		for _, address := range addresses {
			_, value, found := strings.Cut(arg, "=")
			if !found || value != address {
				value = arg
			}
			if from, to := userPart(address); value == address && from < to {
				at := len(arg) - len(value)
				process.HideArgument(arg, at+from, at+to)
			}
		}
	}
}

// userPart returns where user and password are in the text of a URL; 0, 0 for none.
func userPart(address string) (from, to int) {
	from = strings.Index(address, "://")
	if from < 0 {
		return 0, 0
	}
	from += len("://")
	host, _, _ := strings.Cut(address[from:], "/")
	at := strings.LastIndex(host, "@")
	if at < 0 {
		return 0, 0
	}
	return from, from + at
}
