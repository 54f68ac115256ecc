// Package option defines the options of commands: one row per option, from which its flag, its
// environment name, its default, its help and its line in docs/commands.md are made.
package option

import (
	"fmt"
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
	// Inherited options are read from the environment also by a run inside of a job.
	Inherited bool
}

// Env returns the option's name in the environment.
func (o Option) Env() string {
	return "STINT_" + strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
}

func (o Option) inEnv(getenv func(string) string) string {
	if o.FlagOnly {
		return ""
	}
	return getenv(o.Env())
}

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
	on       bool
	duration time.Duration
	size     int64
	number   float64
	given    bool   // by flag or environment
	source   string // the flag or variable that it came from
}

// Any reports whether flags hold an option besides --help that help lists.
func Any(flags *pflag.FlagSet) (found bool) {
	flags.VisitAll(func(f *pflag.Flag) { found = found || f.Name != "help" && !f.Hidden })
	return found
}

// Register declares the rows as flags.
func Register(fs *pflag.FlagSet, rows []Option) *Set {
	s := &Set{rows: rows, flags: fs, values: map[string]*value{}}
	for _, o := range rows {
		v := &value{}
		s.values[o.Name] = v
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
	fs.SortFlags = false
	return s
}

// Resolve reads the environment for options that no flag set and checks every value. It
// returns a *UsageError that names the flag or variable.
func (s *Set) Resolve(getenv func(string) string) error {
	for _, o := range s.rows {
		v := s.values[o.Name]
		v.source, v.given = "--"+o.Name, s.flags.Changed(o.Name)
		if env := o.inEnv(getenv); !v.given && env != "" {
			v.source, v.given = o.Env(), true
			if err := v.fromEnv(o, env); err != nil {
				return Usagef("%s: %v", v.source, err)
			}
		}
		if err := v.parse(o); err != nil {
			return Usagef("%s: %v", v.source, err)
		}
	}
	return nil
}

func (v *value) fromEnv(o Option, env string) error {
	switch o.Kind {
	case List:
		v.list = strings.Split(strings.TrimRight(env, "\n"), "\n")
	case Switch:
		switch strings.ToLower(env) {
		case "1", "true", "yes", "on":
			v.on = true
		case "0", "false", "no", "off":
			v.on = false
		default:
			return fmt.Errorf("%q is neither 1 nor 0", env)
		}
	default:
		v.text = env
	}
	return nil
}

func (v *value) parse(o Option) (err error) {
	if v.text == "" {
		return nil
	}
	switch o.Kind {
	case Duration:
		v.duration, err = ParseDuration(v.text)
	case Size:
		v.size, err = ParseSize(v.text)
	case Number:
		v.number, err = parseNumber(v.text)
	}
	return err
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

// On returns the value of a Switch.
func (s *Set) On(name string) bool { return s.get(name).on }

// Duration returns the value of a Duration option.
func (s *Set) Duration(name string) time.Duration { return s.get(name).duration }

// Size returns the value of a Size option in bytes.
func (s *Set) Size(name string) int64 { return s.get(name).size }

// Number returns the value of a Number option.
func (s *Set) Number(name string) float64 { return s.get(name).number }

// Given reports whether a flag or the environment set the option.
func (s *Set) Given(name string) bool { return s.get(name).given }

// Source names the flag or variable that set the option; the flag if nothing did.
func (s *Set) Source(name string) string { return s.get(name).source }

// Flagged reports whether a flag set the option: it is meant for this one call.
func (s *Set) Flagged(name string) bool { return s.flags.Changed(name) }

func (s *Set) get(name string) *value {
	v, ok := s.values[name]
	if !ok {
		panic("option: no option is called " + name) // only a programmer can cause it
	}
	return v
}
