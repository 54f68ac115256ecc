// Package configcmd holds stint config, which shows what the options of a command are and where each comes from.
package configcmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/internal/agent/redact"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/configfile"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
)

type program struct{ *command.Program }

// Configured is what the configuration of a command is.
type Configured struct {
	// Rows returns its options.
	Rows func() []option.Option
	// Check returns what the command would report about resolved options when it starts, and the error with which it would refuse
	// them. It reports nothing itself.
	Check func(opts *option.Set) (reports []string, err error)
}

// Command makes the command config; of stint run and stint worker run it knows more than of others.
func Command(c *command.Program, run, worker Configured) *cobra.Command {
	p := &program{c}
	cmd := &cobra.Command{
		Use: "config [COMMAND] [flags]", Short: "Show the value of each option, where it comes from, and mistakes",
		Long: `Show the value of each option that the environment or configuration files can set, and where it comes
from: the name of a variable, a file and the number of the line, or the default. COMMAND is run, which it is
without one, worker, or any command that asks a server. Tokens and other secrets are masked.

It asks no server. Exit code 1 if there are mistakes, which stderr names with their places: everything that
the command would refuse, ignore or report.`,
	}
	asJSON := option.Register(cmd.Flags(), []option.Option{command.JSONRow()})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := asJSON.Resolve(); err != nil {
			return err
		}
		name := strings.Join(args, " ")
		of := Configured{Check: p.checkClient}
		switch name {
		case "", "run":
			name, of = "run", run
		case "worker", "worker run":
			name, of = "worker run", worker
		default:
			found, left, err := cmd.Root().Find(args)
			if err != nil || len(left) > 0 || found.Flags().Lookup("server") == nil {
				return option.Usagef("%q is no command that reads the environment and configuration files; name run, worker, flush or another one that asks a server", name)
			}
			of.Rows = func() []option.Option { return configurable(found.Flags(), p.FileRows()) }
		}
		return p.show(p.find(name, of), asJSON.On("json"))
	}
	return cmd
}

// shown is the configuration of a command.
type shown struct {
	Command  string    `json:"command"`
	Files    []file    `json:"files"`
	Options  []value   `json:"options"`
	Mistakes []mistake `json:"mistakes"`
}

type file struct {
	Path  string `json:"path"`
	State string `json:"state"` // read, missing, unreadable
}

type value struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
	Source string   `json:"source"` // default, or the variable or line
}

type mistake struct {
	Place  string `json:"place,omitempty"`
	Text   string `json:"text"`
	Effect string `json:"effect,omitempty"` // what a command does, unless the text says it
	Stops  bool   `json:"stops"`            // it does not start
}

// configurable returns those of all options that the environment and configuration files can set for a command with these flags.
func configurable(flags *pflag.FlagSet, all []option.Option) (rows []option.Option) {
	for _, o := range all {
		known := slices.ContainsFunc(rows, func(other option.Option) bool { return other.Name == o.Name })
		if !known && option.Configurable(flags, o.Name) {
			rows = append(rows, o)
		}
	}
	return rows
}

// checkClient is the check of a command that asks a server.
func (p *program) checkClient(opts *option.Set) (reports []string, err error) {
	c, err := command.NewClient(opts, p.Version, "")
	if err == nil {
		c.Close()
	}
	return command.BadAddresses(opts), err
}

// find reads the configuration of a command.
func (p *program) find(name string, of Configured) shown {
	run := name == "run"
	rows := of.Rows()
	opts := option.Register(pflag.NewFlagSet(name, pflag.ContinueOnError), rows)
	sources, files, mistakes := p.Sources(run && command.Nested(p.Getenv))
	wrong := opts.Check(sources...)
	all := shown{Command: name, Files: states(files), Options: []value{}, Mistakes: []mistake{}}
	const refuses = "the command is refused"
	for _, m := range mistakes {
		effect := "it is ignored"
		if !run && !m.Key {
			effect = refuses
		}
		all.Mistakes = append(all.Mistakes, mistake{m.Place, m.Why, effect, effect == refuses})
	}
	for _, w := range wrong {
		m := mistake{w.Place, w.Err.Error(), w.Instead(), false}
		if !run || w.Stops() {
			m.Effect, m.Stops = refuses, true
		}
		all.Mistakes = append(all.Mistakes, m)
	}
	reports, err := of.Check(opts)
	if text := command.Exposed(opts); text != "" {
		reports = append(reports, text)
	}
	for _, text := range reports {
		all.Mistakes = append(all.Mistakes, mistake{Text: text})
	}
	if err != nil {
		all.Mistakes = append(all.Mistakes, mistake{"", err.Error(), refuses, true})
	}
	for _, o := range rows {
		if !o.FlagOnly {
			all.Options = append(all.Options, value{o.Name, masked(o, opts.Values(o)), source(opts, o)})
		}
	}
	return all
}

func states(files configfile.Files) []file {
	list := []file{}
	for _, f := range files {
		state := "read"
		switch {
		case f.Missing:
			state = "missing"
		case f.Err != nil:
			state = "unreadable"
		}
		list = append(list, file{f.Path, state})
	}
	return list
}

// source says where a value comes from.
func source(opts *option.Set, o option.Option) string {
	place := opts.Source(o.Name)
	if place == "--"+o.Name {
		return "default"
	}
	return strings.TrimSuffix(place, ": "+o.Name)
}

// masked returns values without secrets.
func masked(o option.Option, values []string) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		secrets := redact.URLCredentials(v)
		switch o.Name {
		case "token":
			secrets = []string{v}
		case "env":
			secrets = append(secrets, redact.Find([]string{v}, redact.Options{}).Values...)
		}
		for _, s := range secrets {
			if s != "" {
				v = strings.ReplaceAll(v, s, redact.Mark)
			}
		}
		out = append(out, v)
	}
	return out
}

// show prints it. Mistakes are the exit code.
func (p *program) show(all shown, asJSON bool) error {
	var err error
	if asJSON {
		err = p.PrintJSON(all)
	} else {
		err = console.WriteAll(p.Out, p.text(all))
		for _, m := range all.Mistakes {
			text := m.Text
			if m.Effect != "" {
				text += "; " + m.Effect
			}
			if m.Place != "" {
				text = m.Place + ": " + text
			}
			p.Say("%s", text)
		}
	}
	if err == nil && len(all.Mistakes) > 0 {
		return &console.ExitError{Code: console.ExitFailed}
	}
	return err
}

func (p *program) text(all shown) string {
	s := p.StyleFor(p.Out)
	var rows [][]console.Cell
	for _, f := range all.Files {
		paint := s.Muted
		switch f.State {
		case "read":
			paint = s.Green
		case "unreadable":
			paint = s.Red
		}
		rows = append(rows, []console.Cell{console.T(f.Path), console.P(f.State, paint)})
	}
	text := p.Table([]console.Column{{Head: "FILE"}, {Head: "STATE"}}, rows) + "\n"
	rows = nil
	for _, o := range all.Options {
		paint := s.Bold
		if o.Source == "default" {
			paint = s.Muted
		}
		text := console.T(strings.Join(o.Values, ", "))
		if text.Text == "" && o.Source != "default" {
			text = console.P("(empty)", s.Muted)
		}
		rows = append(rows, []console.Cell{console.P(o.Name, paint), console.P(o.Source, paint), text})
	}
	return text + p.Table([]console.Column{{Head: "OPTION"}, {Head: "SOURCE"}, {Head: "VALUE", Min: 16}}, rows)
}
