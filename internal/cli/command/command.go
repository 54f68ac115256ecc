// Package command holds what the commands of a program share: the options that lead to a
// server, the client that they describe, and checks of arguments.
package command

import (
	"context"
	"os"
	"os/signal"
	"os/user"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"stint.dev/stint/client"
	"stint.dev/stint/client/address"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

// defaultServer is the address of the tracking server if no other is given.
const defaultServer = "http://127.0.0.1:7846"

// Program is what every command needs of the program that it belongs to.
type Program struct {
	*console.Console
	Version string
	// FileRows returns the options of all commands that may be keys of configuration files; nil where every key is taken.
	FileRows func() []option.Option
}

// ServerRows returns the options of every command that makes requests of a server.
func ServerRows() []option.Option {
	return append([]option.Option{
		{Name: "server", Kind: option.List, Value: "URL", Default: defaultServer, Inherited: true, Effect: option.Connects, Help: "address of the tracking server; further ones of the same installation are for when it does not answer"},
		{Name: "token", Value: "TOKEN", Inherited: true, Effect: option.Connects, Help: "access token; better given by --token-file or STINT_TOKEN, which no process listing shows"},
		{Name: "token-file", Value: "FILE", Inherited: true, HostFile: true, Effect: option.Connects, Help: "file with the access token"},
	}, tlsRows()...)
}

// JSONRow returns the option of a command that can print its result as JSON.
func JSONRow() option.Option {
	return option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON"}
}

// WhyRow returns the option with the reason for an action.
func WhyRow(help string) option.Option {
	return option.Option{FlagOnly: true, Name: "why", Value: "TEXT", Help: help}
}

// NewClient makes the client that a command's resolved options describe, for the agent of a
// run or, with an empty run, for other commands. Its error names the option or variable that
// cannot be used.
func NewClient(opts *option.Set, version, run string) (*client.Client, error) {
	HideArguments(opts.Text("token"), opts.List("server")...)
	token, err := Token(opts)
	if err != nil {
		return nil, err
	}
	return Connect(opts, token, TokenAgain(opts), version, run)
}

// Connect is NewClient with a token, and what reads it again; nil for one that stays.
func Connect(opts *option.Set, token string, again func() (string, error), version, run string) (*client.Client, error) {
	good, err := addresses(opts)
	if err != nil {
		return nil, err
	}
	return connect(opts, good, token, again, version, run)
}

func connect(opts *option.Set, urls []string, token string, again func() (string, error), version, run string) (*client.Client, error) {
	trust, err := clientTLS(opts)
	if err != nil {
		return nil, err
	}
	return client.New(client.Options{URL: urls[0], MoreURLs: urls[1:], Token: token, TokenAgain: again, UserAgent: "stint/" + version, Run: run, TLS: trust})
}

// addresses returns those addresses of the server that can be used, in order of preference. The error is that of the first one if
// none can.
func addresses(opts *option.Set) ([]string, error) {
	good, bad := ServerURLs(opts)
	switch {
	case len(good) > 0:
		return good, nil
	case len(bad) > 0:
		return nil, bad[0]
	}
	return nil, option.Usagef("%s: it names no address; write it like %s", opts.Source("server"), defaultServer)
}

// ServerURLs returns those addresses of the server that can be used, in order of preference, and an error for each other one, which
// names the option.
func ServerURLs(opts *option.Set) (good []string, bad []error) {
	places := opts.Places("server")
	for i, text := range opts.List("server") {
		urls, mistakes := address.ParseAll(address.Split([]string{text}))
		for _, u := range urls {
			if !slices.Contains(good, u.String()) {
				good = append(good, u.String())
			}
		}
		for _, err := range mistakes {
			bad = append(bad, option.Usagef("%s: %v", places[i], err))
		}
	}
	return good, bad
}

// BadAddresses returns why addresses of the server are not used while others are, one line each.
func BadAddresses(opts *option.Set) (lines []string) {
	good, bad := ServerURLs(opts)
	for _, err := range bad {
		if len(good) > 0 {
			lines = append(lines, err.Error()+"; the other addresses are used")
		}
	}
	return lines
}

// WarnOfAddresses prints BadAddresses.
func (p *Program) WarnOfAddresses(opts *option.Set) {
	for _, line := range BadAddresses(opts) {
		p.Say("%s", line)
	}
}

// EachServer returns a client of each address of the server that can be used.
func EachServer(opts *option.Set, version string) (all []*client.Client, err error) {
	HideArguments(opts.Text("token"), opts.List("server")...)
	token, err := Token(opts)
	if err != nil {
		return nil, err
	}
	return ConnectEach(opts, token, version)
}

// ConnectEach is EachServer with a token that is no option.
func ConnectEach(opts *option.Set, token, version string) (all []*client.Client, err error) {
	good, err := addresses(opts)
	for _, one := range good {
		c, cerr := connect(opts, []string{one}, token, nil, version, "")
		if cerr != nil {
			return nil, cerr
		}
		all = append(all, c)
	}
	return all, err
}

// Client resolves a command's options and makes the client that they describe.
func (p *Program) Client(opts *option.Set) (*client.Client, error) {
	if err := p.Resolve(opts); err != nil {
		return nil, err
	}
	p.WarnOfAddresses(opts)
	return NewClient(opts, p.Version, "")
}

// WithClient returns the RunE of a command that makes requests of a server: it calls do with
// the client that the options describe and the command's arguments.
func (p *Program) WithClient(opts *option.Set, do func(ctx context.Context, c *client.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := p.Client(opts)
		if err != nil {
			return err
		}
		defer c.Close()
		return do(cmd.Context(), c, args)
	}
}

// NoArgs refuses arguments of a command that takes options only, besides the commands below it if it has any.
func NoArgs(cmd *cobra.Command, args []string) error {
	if cmd.HasAvailableSubCommands() {
		return NoCommand(cmd, args)
	}
	if len(args) > 0 {
		return option.Usagef("unexpected argument %q: %s takes options only", args[0], cmd.CommandPath())
	}
	return nil
}

// NoCommand refuses arguments of a command that only holds other commands.
func NoCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return option.Usagef("there is no command %q below %s%s; %s --help lists them", args[0], cmd.CommandPath(), DidYouMean(Near(cmd, args[0])), cmd.CommandPath())
	}
	return nil
}

// Near returns the names of commands below cmd that are like name.
func Near(cmd *cobra.Command, name string) []string {
	cmd.SuggestionsMinimumDistance = 2 // letters
	return cmd.SuggestionsFor(name)
}

// DidYouMean is what an error adds of names that may be meant; empty for none.
func DidYouMean(names []string) string {
	if len(names) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(names, " or ") + "?"
}

// Group makes a command that holds other commands and prints its help when it is run itself.
func Group(cmd *cobra.Command, commands ...*cobra.Command) *cobra.Command {
	cmd.Args = NoCommand
	cmd.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
	cmd.AddCommand(commands...)
	return cmd
}

// Interruptible returns a context that ends at the first Ctrl-C or SIGTERM; a second one ends
// the program at once. Commands that make one request and print the reply do not need it.
func Interruptible(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// UserName returns the name under which a person's requests are recorded.
func UserName() string {
	u, err := user.Current()
	if err != nil {
		return "the command line"
	}
	return u.Username
}
