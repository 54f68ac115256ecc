package agentcmd

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/address"
	"stint.dev/stint/internal/agent/flush"
	"stint.dev/stint/internal/agent/process/member"
	"stint.dev/stint/internal/agent/process/watch"
	"stint.dev/stint/internal/agent/spool/owner"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

const (
	// settingsFD is the descriptor from which finish-attempt reads its settings.
	settingsFD = 4
	// lockFD is the descriptor by which finish-attempt has the lock of the job's name with --lock.
	lockFD = 5
	// finishLimit bounds the wait for the server after an agent's death.
	finishLimit = 30 * time.Second
)

// connectionVariables decide, beside the options, how a server is reached.
var connectionVariables = []string{
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR",
}

// finishOf returns what the watcher needs to deliver the journal of an agent that has died: the
// environment of finish-attempt. Relative paths are meant from the agent's own directory.
func finishOf(opts *option.Set, stateDir string) (*watch.Finish, error) {
	state, err := filepath.Abs(stateDir)
	if err != nil {
		return nil, fmt.Errorf("the state directory: %w", err)
	}
	var env bytes.Buffer
	put := func(name, value string) {
		if value != "" {
			env.WriteString(name + "=" + value + "\x00")
		}
	}
	put("STINT_STATE", state)
	unused := "token-file"
	if command.TokenFile(opts) != "" {
		unused = "token"
	}
	for _, row := range command.ServerRows() {
		if row.Name == unused {
			continue
		}
		value := strings.Join(opts.Values(row), "\n")
		if value != "" && row.Value == "FILE" {
			if value, err = filepath.Abs(value); err != nil {
				return nil, fmt.Errorf("%s: %w", opts.Source(row.Name), err)
			}
		}
		put(row.Env(), value)
	}
	for _, name := range connectionVariables {
		put(name, os.Getenv(name))
	}
	return &watch.Finish{Settings: env.Bytes()}, nil
}

// takeSettings puts the settings that finishOf made into the environment.
func takeSettings(r io.Reader) error {
	text, err := io.ReadAll(r)
	if err != nil {
		return fmt.Errorf("read the settings: %w", err)
	}
	for pair := range strings.SplitSeq(string(text), "\x00") {
		if name, value, found := strings.Cut(pair, "="); found {
			if err := os.Setenv(name, value); err != nil {
				return fmt.Errorf("set %s: %w", name, err)
			}
		}
	}
	return nil
}

// finishAttempt returns the command that the watcher of an agent that died runs: see watch.Finish. Its exit
// code is 0 when nothing of the attempt lives any more, whether or not the server answers: what
// cannot be delivered waits.
func (a *agentProgram) finishAttempt() *cobra.Command {
	cmd := &cobra.Command{
		Use:    "finish-attempt RUN ATTEMPT",
		Short:  "Complete and deliver the journal of an agent that died",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
	}
	opts := option.Register(cmd.Flags(), append(command.ServerRows(),
		option.Option{FlagOnly: true, Name: "deliver-only", Kind: option.Switch, Help: "end no processes"},
		option.Option{FlagOnly: true, Name: "lock", Kind: option.Switch, Help: "give back the lock of the job's name when none of its processes lives"},
		option.Option{FlagOnly: true, Name: "left", Help: "processes that were ended already, one \"PID NAME\" a line"},
	))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		protect()
		run := args[0]
		attempt, err := strconv.Atoi(args[1])
		if err == nil {
			err = job.CheckRunID(run)
		}
		if err != nil {
			return option.Usagef("%s is not an attempt: %v", strings.Join(args, "."), err)
		}
		settings := os.NewFile(settingsFD, "settings")
		err = takeSettings(settings)
		if closeErr := settings.Close(); err == nil {
			err = closeErr
		}
		if err == nil {
			err = opts.Resolve(option.Environment(os.Getenv))
		}
		if err != nil {
			return err
		}
		swept := flush.LeftText(leftMembers(opts.Text("left")))
		if !opts.On("deliver-only") {
			if text := flush.Sweep(run, attempt); text != "" {
				swept = text
			}
		}
		if opts.On("lock") {
			_ = syscall.Close(lockFD) // it is there for its lock alone
		}
		a.deliverOne(cmd.Context(), opts, run, attempt, swept)
		return nil
	}
	return cmd
}

// deliverOne delivers one journal, or leaves it for the next agent or flush, which reports why it
// cannot be delivered: the messages of a watcher go nowhere.
func (a *agentProgram) deliverOne(ctx context.Context, opts *option.Set, run string, attempt int, swept string) {
	c, err := command.NewClient(opts, a.version, "")
	if err != nil {
		return
	}
	defer c.Close()
	dir, err := (&console.Console{Getenv: os.Getenv}).StateDir()
	if err != nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, finishLimit)
	defer cancel()
	_, _ = flush.FinishAttempt(ctx, flush.Config{
		StateDir: dir, Server: c, ServerURL: address.Join(c.URLs()), WithToken: withToken(c), Host: owner.Host{Name: command.HostName(), BootID: command.BootID()},
	}, run, attempt, swept)
}

// leftMembers reads lines of "PID NAME".
func leftMembers(text string) (members []member.Member) {
	for line := range strings.SplitSeq(text, "\n") {
		pid, name, found := strings.Cut(line, " ")
		if n, err := strconv.Atoi(pid); found && err == nil {
			members = append(members, member.Member{PID: n, Name: name})
		}
	}
	return members
}
