package command

import (
	"os"
	"strings"

	"stint.dev/stint/internal/agent/process"
)

// HideArguments takes a token, and user and password of addresses, that were given as
// arguments out of the process listing. For the first moments of the program they were there:
// what is given in the environment never is.
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

// userPart is where user and password stand in the text of a URL; nowhere is 0, 0.
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
