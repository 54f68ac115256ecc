// Package option defines the options of commands: one row per option, from which its flag, its
// environment name, its key in configuration files, its default, its help and its line in docs/commands.md are made.
package option

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// Kind is how an option's text is parsed.
type Kind int

const (
	Text     Kind = iota
	List          // repeatable; in the environment one per line
	Switch        // on or off
	Duration      // "90s", "5m", "2h", "1d"
	Size          // bytes: "512M", "2GiB"
	Number        // "1.5"
)

// Option is one row of the table.
type Option struct {
	Name    string
	Short   string // one letter, or empty
	Kind    Kind
	Default string
	Value   string // how help names the value: "URL"
	Help    string // one line
	// Values are those that it can have, for completion; nil where that is decided by its name (internal/cli/completion).
	Values []string
	// FlagOnly options have no name in the environment: they belong to one call, and a name
	// such as STINT_JOB means something else to a job.
	FlagOnly bool
	// NoFlag options are read from the environment and from files only: a flag would show a secret in process listings.
	NoFlag bool
	// Inherited options are read from the environment and from files also by a run inside of a job.
	Inherited bool
	// NotInFiles options are for one call, but have a name in the environment.
	NotInFiles bool
	// HostFile options name a file of the host: in a configuration file relative to the directory of that file.
	HostFile bool
	// Effect decides what stint run does with a wrong value; other commands refuse every one.
	Effect Effect
	// Check returns why a value, of a List each of them, cannot be used, beside what its Kind refuses; nil for no such rule.
	Check func(text string) error
}

// Effect is what an option changes, and thereby what a wrong value of it does to a job.
type Effect int

const (
	// Shapes is of options that decide how the job runs: stint run does not start it with a wrong value, wherever that is from.
	Shapes Effect = iota + 1
	// Describes is of options that decide what is recorded and how it is delivered: a wrong value that is no flag is
	// reported, and the job runs with the default in its place.
	Describes
	// Connects is of options that lead to a server: no wrong value keeps the job from running, not even a flag; the journal waits.
	Connects
)

// Env returns the option's name in the environment.
func (o Option) Env() string {
	return "STINT_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

// InFiles reports whether the option is a key of configuration files.
func (o Option) InFiles() bool { return !o.FlagOnly && !o.NotInFiles }

// UsageError is the error of a command that was used wrongly: exit code 2.
type UsageError struct{ Text string }

func (e *UsageError) Error() string { return e.Text }

// Usagef makes a *UsageError.
func Usagef(format string, args ...any) error {
	return &UsageError{fmt.Sprintf(format, args...)}
}

// Set is the options of one command and, after Resolve, their values.
type Set struct {
	rows   []Option
	flags  *pflag.FlagSet
	values map[string]*value
}

type value struct {
	text     string
	list     []string
	places   []string // where each value of list came from
	on       bool
	duration time.Duration
	size     int64
	number   float64
	given    bool   // by a flag or a source
	source   string // the flag, variable or line that it came from
	file     string // the configuration file that it came from
	rank     int    // of where it came from: 0 is a flag, the last number the default
}

// Any reports whether flags hold an option besides --help that help lists.
func Any(flags *pflag.FlagSet) (found bool) {
	flags.VisitAll(func(f *pflag.Flag) { found = found || f.Name != "help" && !f.Hidden })
	return found
}

// Describe returns what help and manual pages show of a flag: its names, what its value is called, empty for none, and what it
// does, with the default.
func Describe(f *pflag.Flag) (names, value, text string) {
	value, text = pflag.UnquoteUsage(f)
	names = "--" + f.Name
	if f.Shorthand != "" {
		names = "-" + f.Shorthand + ", " + names
	}
	if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
		text += " (default " + f.DefValue + ")"
	}
	return names, value, text
}

// Register declares the rows as flags.
func Register(fs *pflag.FlagSet, rows []Option) *Set {
	s := &Set{rows: rows, flags: fs, values: map[string]*value{}}
	for _, o := range rows {
		v := &value{}
		s.values[o.Name] = v
		if o.NoFlag {
			v.text = o.Default
			continue
		}
		help := o.Help
		if !o.FlagOnly {
			help += " [" + o.Env() + "]"
		}
		switch o.Kind {
		case List:
			fs.VarP(&listFlag{&v.list, o.Value, o.Values}, o.Name, o.Short, help)
		case Switch:
			fs.BoolVarP(&v.on, o.Name, o.Short, false, help)
		default:
			v.text = o.Default
			fs.VarP(&textFlag{&v.text, o.Value, o.Values}, o.Name, o.Short, help)
		}
	}
	for _, o := range rows {
		if f := fs.Lookup(o.Name); f != nil && !o.FlagOnly {
			f.Annotations = map[string][]string{inEnvironment: {o.Env()}}
		}
	}
	fs.SortFlags = false
	return s
}

// inEnvironment marks flags of options that the environment and configuration files can set.
const inEnvironment = "stint_environment"

// Configurable reports whether flags have one of this name whose option the environment and configuration files can set.
func Configurable(flags *pflag.FlagSet, name string) bool {
	f := flags.Lookup(name)
	return f != nil && f.Annotations[inEnvironment] != nil
}

// textFlag and listFlag are flags whose help names their value as the table does.
type textFlag struct {
	text   *string
	name   string
	values []string
}

// Values are those that the flag can have; nil for any.
func (f *textFlag) Values() []string { return f.values }

func (f *textFlag) Set(s string) error { *f.text = s; return nil }
func (f *textFlag) String() string     { return *f.text }
func (f *textFlag) Type() string       { return f.name }

type listFlag struct {
	list   *[]string
	name   string
	values []string
}

// Values are those that the flag can have; nil for any.
func (f *listFlag) Values() []string { return f.values }

func (f *listFlag) Set(s string) error { *f.list = append(*f.list, s); return nil }
func (f *listFlag) String() string     { return strings.Join(*f.list, ",") }
func (f *listFlag) Type() string       { return f.name }

// GetSlice says to Cobra that the flag may be given again, so that completion offers it.
func (f *listFlag) GetSlice() []string { return *f.list }

// Text returns the value of a Text option.
func (s *Set) Text(name string) string { return s.get(name).text }

// List returns the values of a List option.
func (s *Set) List(name string) []string { return s.get(name).list }

// Places names the flag, variable or line of a file that each value of a List option came from.
func (s *Set) Places(name string) []string { return s.get(name).places }

// On returns the value of a Switch.
func (s *Set) On(name string) bool { return s.get(name).on }

// Duration returns the value of a Duration option.
func (s *Set) Duration(name string) time.Duration { return s.get(name).duration }

// Size returns the value of a Size option in bytes.
func (s *Set) Size(name string) int64 { return s.get(name).size }

// Number returns the value of a Number option.
func (s *Set) Number(name string) float64 { return s.get(name).number }

// Values returns the values of an option of any kind as text; none if it has no value.
func (s *Set) Values(o Option) []string {
	v := s.get(o.Name)
	switch {
	case o.Kind == List:
		return v.list
	case o.Kind == Switch && v.on:
		return []string{"on"}
	case o.Kind == Switch:
		return []string{"off"}
	case v.text == "":
		return nil
	}
	return []string{v.text}
}

// Given reports whether a flag or a source set the option to a value, which an empty one is not.
func (s *Set) Given(name string) bool { return s.get(name).given }

// Source names the flag, variable or line of a file that set the option, also to its default; the flag if nothing did.
func (s *Set) Source(name string) string { return s.get(name).source }

// File returns the path of the configuration file that set the option; empty if none did.
func (s *Set) File(name string) string { return s.get(name).file }

// Outranks reports whether one option was set in a place that takes precedence over that of another.
func (s *Set) Outranks(name, other string) bool { return s.get(name).rank < s.get(other).rank }

// Has reports whether the set has an option.
func (s *Set) Has(name string) bool { return s.values[name] != nil }

// InFiles reports whether the set has an option that is a key of configuration files.
func (s *Set) InFiles() bool { return slices.ContainsFunc(s.rows, Option.InFiles) }

// Flagged reports whether a flag set the option: it is meant for this one call.
func (s *Set) Flagged(name string) bool { return s.flags.Changed(name) }

func (s *Set) get(name string) *value {
	v, ok := s.values[name]
	if !ok {
		panic("option: no option is called " + name) // only a programmer can cause it
	}
	return v
}
