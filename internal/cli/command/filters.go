package command

import (
	"strings"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// StateNames returns the names of all states, for help and messages.
func StateNames() string {
	var names []string
	for _, s := range job.States() {
		names = append(names, string(s))
	}
	return strings.Join(names, ", ")
}

// States reads the option --state of a command that lists something.
func States(opts *option.Set) ([]string, error) {
	states := Words(opts.List("state"))
	for _, s := range states {
		if !job.State(s).Valid() {
			return nil, option.Usagef("--state: %s is not a state; the states are %s", job.Quote(s), StateNames())
		}
	}
	return states, nil
}

// Labels reads the option --label of a command that lists something.
func Labels(opts *option.Set) ([]string, error) {
	labels := opts.List("label")
	for _, kv := range labels {
		if !strings.Contains(kv, "=") {
			return nil, option.Usagef("--label: %s is not K=V", job.Quote(kv))
		}
	}
	return labels, nil
}

// Words returns the words of lists that are separated by commas.
func Words(lists []string) (out []string) {
	for _, list := range lists {
		out = append(out, strings.Split(list, ",")...)
	}
	return out
}
