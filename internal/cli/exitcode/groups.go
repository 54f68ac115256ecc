package exitcode

import (
	"strings"

	"github.com/spf13/cobra"
)

// Row is an exit code and what it means.
type Row struct{ Code, Meaning string }

// Group is the commands that end with the same codes.
type Group struct {
	Name string
	Rows []Row
	asks bool // errors are mapped as those of commands that ask a server
}

const badUsage = "bad options or arguments"

// The groups, in the order of the documentation.
var (
	query = Group{"Commands that ask a server", []Row{
		{"0", "it worked"},
		{"1", "it worked, and the answer is no: there is no such run, job or line, or its state does not allow what was asked"},
		{"2", badUsage + ", also a bad regular expression, a RUN that several runs match, or a file that cannot be read"},
		{"3", "the server cannot be reached, or refuses: no answer, another program at the address, a token that is missing or not enough, an error of the server"},
	}, true}
	ofRun = Group{"stint run", []Row{
		{"its code", "the job exited by itself, or its install step failed; also 0 after SIGINT or SIGTERM to stint run"},
		{"128+N", "the job died of signal N by itself"},
		{"124", "a time limit"},
		{"its code or 128+N", "canceled through the server or by policy, or superseded: the code of the job if it is not 0, else by the last signal sent; 143 between two attempts"},
		{"a signal", "SIGINT or SIGTERM to stint run, and the job died of a signal or was killed: stint run dies of the signal that it got; as PID 1 it exits with 128+N"},
		{"75", "not started, because another run of the job goes on (--overlap)"},
		{"125", "output for stdout or stderr was lost, and the code would be 0; or stint could not do its own work before the job started"},
		{"126", "the command is not executable"},
		{"127", "the command was not found"},
		{"2", badUsage},
	}, false}
	wait = Group{"stint wait", []Row{
		{"0 to 255", "how the run ended, as stint run would have; of several, 0 if all of them are 0, else the first other one in the order of the arguments"},
		{"1", "there is no such run, or it cannot be asked for"},
		{"2", badUsage},
		{"124", "a time limit ended the run, or --timeout the waiting"},
		{"125", "the run is lost or never started"},
		{"130", "Ctrl-C ended the waiting; the run goes on"},
	}, false}
	submit = Group{"stint submit", []Row{
		query.Rows[0],
		query.Rows[1],
		query.Rows[2],
		query.Rows[3],
		{"others", "with --wait or --follow: those of stint wait"},
	}, true}
	logs = Group{"stint logs", []Row{
		query.Rows[0],
		{"1", "there is no such run, or --grep found no line"},
		query.Rows[2],
		query.Rows[3],
		{"130", "Ctrl-C ended -f"},
	}, true}
	flush = Group{"stint flush", []Row{
		{"0", "nothing that can be delivered waits any more"},
		{"1", "a journal could not be delivered, or the server cannot be reached"},
		{"2", badUsage},
	}, false}
	doctor = Group{"stint doctor", []Row{
		{"0", "nothing is wrong that loses data or keeps a job from running"},
		{"1", "something is"},
		{"2", badUsage},
	}, false}
	config = Group{"stint config", []Row{
		{"0", "there is no mistake"},
		{"1", "there is one, in the environment, in a file or in what it names"},
		{"2", badUsage},
	}, false}
	check = Group{"stint server check", []Row{
		{"0", "no fault remains"},
		{"1", "a fault remains, or data was lost"},
		{"2", badUsage},
	}, false}
	health = Group{"stint health", []Row{
		{"0", "the server is ready"},
		{"1", "it is not, or does not answer"},
		{"2", badUsage},
	}, false}
	demo = Group{"stint demo", []Row{
		{"0", "it worked, or Ctrl-C ended it"},
		{"1", "it could not be shown"},
		{"2", badUsage},
		{"others", "with --exit: of the first job that failed"},
	}, false}
	local = Group{"Other commands", []Row{
		{"0", "it worked"},
		{"1", "it could not be done"},
		{"2", badUsage},
	}, false}
)

// Groups returns all groups.
func Groups() []Group {
	return []Group{query, logs, submit, wait, ofRun, flush, doctor, config, check, health, demo, local}
}

// named are the commands with codes of their own, by what follows the name of the program.
var named = map[string]Group{
	"run": ofRun, "wait": wait, "submit": submit, "logs": logs, "flush": flush, "doctor": doctor, "config": config, "demo": demo,
	"server check": check, "health": health, "worker run": local, "attempt": local, "finish-attempt": local,
}

// GroupOf returns the group of a command: those with an option for the address of a server ask one.
func GroupOf(cmd *cobra.Command) Group {
	_, path, _ := strings.Cut(cmd.CommandPath(), " ")
	if g, found := named[path]; found {
		return g
	}
	if cmd.Flags().Lookup("server") != nil {
		return query
	}
	return local
}

// closedPipe holds for every command that prints.
const closedPipe = "A command whose reader closes the pipe ends with 141, as one that SIGPIPE ended."

// Markdown returns the documentation of all groups.
func Markdown() string {
	var b strings.Builder
	for _, g := range Groups() {
		b.WriteString("## " + g.Name + "\n\n")
		if g.Name == query.Name {
			b.WriteString("Every command with the option `--server` that is not named below.\n\n")
		}
		b.WriteString("| code | meaning |\n|---|---|\n")
		for _, r := range g.Rows {
			b.WriteString("| " + r.Code + " | " + r.Meaning + " |\n")
		}
		b.WriteString("\n")
	}
	return b.String() + closedPipe + "\n"
}
