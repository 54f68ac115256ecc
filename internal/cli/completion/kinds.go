package completion

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/job"
)

// Kind is what can be typed in a place.
type Kind string

// The kinds. Unknown is one that nobody has decided on, Nothing one that is free text.
const (
	Unknown     Kind = ""
	Nothing     Kind = "nothing"
	Files       Kind = "files"
	Directories Kind = "directories"
	Programs    Kind = "programs"
	Runs        Kind = "runs"
	Jobs        Kind = "jobs"
	Labels      Kind = "labels"
	Hosts       Kind = "hosts"
	Groups      Kind = "groups"
	Routes      Kind = "routes"
	Workers     Kind = "workers"
	Tokens      Kind = "tokens"
	Steps       Kind = "steps"
	Attempts    Kind = "attempts"
	Versions    Kind = "versions"
	Parameters  Kind = "parameters"
	Commands    Kind = "commands"
	states      Kind = "states"
	healths     Kind = "healths"
	statuses    Kind = "statuses"
	severities  Kind = "severities"
	Own         Kind = "its own" // the option lists its values
	scopes      Kind = "scopes"
	priorities  Kind = "priorities"
	streams     Kind = "streams"
	overlaps    Kind = "overlaps"
	signals     Kind = "signals"
	levels      Kind = "levels"
	durability  Kind = "durability"
	formats     Kind = "formats"
	times       Kind = "times"
	durations   Kind = "durations"
	sizes       Kind = "sizes"
)

func values(all ...string) []item {
	items := make([]item, 0, len(all)/2)
	for i := 0; i < len(all); i += 2 {
		items = append(items, item{all[i], all[i+1]})
	}
	return items
}

// fixed are the values of kinds that are always the same, each with what it means.
var fixed = map[Kind][]item{
	Nothing: {},
	states:  stateItems(),
	healths: values(string(job.Healthy), "", string(job.Warning), "", string(job.Critical), ""),
	statuses: values(
		"pending", "still to be done", "done", "", "failed", "given up", "dropped", "no longer needed"),
	severities: values(
		string(job.Warning), "and worse", string(job.Critical), ""),
	scopes: values(
		"agent", "report runs", "read", "see everything", "write", "and cancel, retry, submit jobs, set policies",
		"author", "and say what runs on workers", "admin", "everything", "worker", "take queued runs", "ping", "report jobs by pings"),
	priorities: values("high", "", "normal", "", "low", ""),
	streams:    values("stdout", "", "stderr", ""),
	overlaps: values(
		"allow", "start it all the same", "queue", "wait until the other run has ended", "skip", "do not start it"),
	signals:    values("TERM", "", "INT", "", "QUIT", "", "HUP", "", "USR1", "", "USR2", "", "ABRT", "", "ALRM", "", "WINCH", "", "KILL", ""),
	levels:     values("auto", "the best there is", "cgroup2", "", "cgroup1", "", "process-group", "without cgroups"),
	durability: values("full", "survives a power cut", "relaxed", "survives a crash of the server"),
	formats:    values("text", "", "json", ""),
	times:      values("10m", "ten minutes ago", "2h", "two hours ago", "today", "since midnight", "yesterday", "since its midnight"),
	durations:  values("30s", "seconds", "5m", "minutes", "1h", "hours", "1d", "days"),
	sizes:      values("512M", "MiB", "2G", "GiB"),
}

// stateItems are the states of runs.
func stateItems() []item {
	var items []item
	for _, s := range job.States() {
		items = append(items, item{Value: string(s)})
	}
	return items
}

// keepOrder are the kinds whose values come in an order of their own.
var keepOrder = map[Kind]bool{Runs: true, states: true, priorities: true, durations: true, times: true, Attempts: true, Versions: true, Steps: true}

// ofOption are the kinds of options, by command and name, else by name, else by how help calls the value.
var ofOption = map[string]Kind{
	"run --dir": Directories, "submit --dir": Nothing, "submit --version": Versions, "job export --version": Versions,
	"worker run --label": Nothing, "token create --label": Nothing, "worker run --name": Nothing, "run --redact": Nothing,
	"submit --require": Nothing, "run --label": Labels, "worker run --pass-env": Nothing,
	"server --allow-host": Nothing, "--trusted-proxy": Nothing, "token create --name": Nothing, "token create --worker": Workers,
	"cron due --user": Nothing, "cron list --user": Nothing, "cron adopt --user": Nothing, "cron release --user": Nothing,
	"run --no-redact": Nothing, "run --host": Nothing, "schedule test --lasts": durations,

	"--job": Jobs, "--state": states, "--health": healths, "--severity": severities, "--scope": scopes, "--priority": priorities,
	"--stream": streams, "--status": statuses, "--who": Tokens, "--step": Steps, "--attempt": Attempts, "--overlap": overlaps, "--stop-signal": signals,
	"--containment": levels, "--durability": durability, "--log": formats, "--group": Groups, "--host": Hosts, "--allow": Jobs,
	"--label": Labels, "--match-label": Labels, "--param": Parameters, "--after": Runs, "--again": Runs, "--worker": Workers,
	"--since": times, "--until": times, "--script": Nothing, "--definition": Versions, "--source": Nothing, "--left": Nothing,
	"--metrics-label": Nothing, "--at": Nothing, "--run-id": Nothing, "--deadline": durations, "--match-job": Jobs,
	"notify set --group": durations, "--archive": Directories, "--outcome": Nothing, "--by": Nothing,

	"FILE": Files, "DIR": Directories, "PATH": Files, "D": durations, "DURATION": durations, "SIZE": sizes, "BYTES": Nothing,
	"URL": Nothing, "TEXT": Nothing, "N": Nothing, "CMD": Nothing, "K=V": Nothing, "EXPRESSION": Nothing, "ZONE": Nothing,
	"CRON": Nothing, "RE": Nothing, "TOKEN": Nothing, "SECRET": Nothing, "KEY": Nothing, "ADDR": Nothing, "ID": Nothing,
	"WHO=SCOPE": Nothing, "TIME": Nothing, "CORES": Nothing, "UUID": Nothing, "HASH": Versions, "JOB": Jobs, "RUN": Runs,
	"STATE": states, "GLOB": Jobs, "HOST": Hosts, "USER": Nothing, "CURSOR": Nothing,
}

// below returns the path of a command without the name of the program.
func below(cmd *cobra.Command) string {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	return path
}

// ownValues returns the values that an option lists.
func ownValues(f *pflag.Flag) []string {
	if v, ok := f.Value.(interface{ Values() []string }); ok {
		return v.Values()
	}
	return nil
}

// OptionKind returns what the value of an option is.
func OptionKind(cmd *cobra.Command, f *pflag.Flag) Kind {
	if f.Value.Type() == "bool" {
		return Nothing
	}
	if len(ownValues(f)) > 0 {
		return Own
	}
	for _, key := range []string{below(cmd) + " --" + f.Name, "--" + f.Name, f.Value.Type()} {
		if k := ofOption[key]; k != Unknown {
			return k
		}
	}
	return Unknown
}

// ofArguments are the kinds of arguments, by command; the last one holds for all that follow.
var ofArguments = map[string][]Kind{
	"run": {Programs, Files}, "config": {Commands}, "diff": {Jobs, Versions}, "submit": {Jobs}, "token revoke": {Tokens}, "help": {Commands},
	"group set": {Groups}, "group delete": {Groups}, "notify set": {Routes}, "notify delete": {Routes}, "notify test": {Routes},
	"worker drain": {Workers}, "worker resume": {Workers}, "policy test": {Jobs}, "server backup": {Directories},
}

// ofPlaceholder are the kinds of arguments by how the usage of a command calls them.
var ofPlaceholder = map[string]Kind{
	"RUN": Runs, "JOB": Jobs, "FILE": Files, "DIR": Directories, "FILE|DIR": Files, "COMMAND": Programs, "VERSION": Versions,
	"HOST": Hosts, "GROUP": Groups, "WORKER": Workers, "ROUTE": Routes, "NUMBER": Nothing, "URL": Nothing,
}

// ArgumentKinds returns what the arguments of a command are, and whether the last kind holds for all that follow.
func ArgumentKinds(cmd *cobra.Command) (kinds []Kind, more bool) {
	names := strings.Fields(cmd.Use)[1:]
	for i := 0; i < len(names); i++ {
		name := strings.Trim(names[i], "[]")
		switch {
		case name == "flags" || name == "--" || name == "":
			continue
		case name == "|":
			i = len(names)
			continue
		case strings.HasPrefix(name, "--"):
			i++ // the value
			continue
		}
		base := strings.TrimSuffix(name, "…")
		more = base != name
		k := ofPlaceholder[base]
		if base == "NAME" && cmd.HasParent() && cmd.Parent().Name() == "job" {
			k = Jobs
		}
		kinds = append(kinds, k)
	}
	if own := ofArguments[below(cmd)]; own != nil {
		return own, more || len(own) < len(kinds)
	}
	return kinds, more
}

// argument returns what the argument after others is.
func argument(cmd *cobra.Command, before []string) Kind {
	kinds, more := ArgumentKinds(cmd)
	switch n := len(before); {
	case n < len(kinds):
		return kinds[n]
	case more && len(kinds) > 0:
		return kinds[len(kinds)-1]
	}
	return Nothing
}
