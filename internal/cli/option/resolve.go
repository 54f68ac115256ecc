package option

import (
	"fmt"
	"slices"
	"strings"
)

// Setting is a value that a source has for an option.
type Setting struct {
	Text    string
	Default bool   // the source says that the default holds; Text is empty
	Place   string // for messages: "STINT_LABEL", "/etc/stint/agent.conf:3: label"
	File    string // the configuration file; empty for none
}

// Source has values of options besides those of flags.
type Source interface {
	// Settings returns the values for an option, one unless it is a List; none if the source does not name it.
	Settings(o Option) []Setting
}

// Environment is the source of an environment: a List has one value per line, and an empty variable is none.
type Environment func(name string) string

// Settings returns what the environment has for an option.
func (getenv Environment) Settings(o Option) (values []Setting) {
	if o.FlagOnly {
		return nil
	}
	text := getenv(o.Env())
	if text == "" {
		return nil
	}
	if o.Kind != List {
		return []Setting{{Text: text, Place: o.Env()}}
	}
	for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		values = append(values, Setting{Text: line, Place: o.Env()})
	}
	return values
}

// Wrong is a value that cannot be used. The default holds in its place; of a List, the other values.
type Wrong struct {
	Option Option
	Place  string
	Flag   bool // a flag gave it
	Err    error
}

func (w Wrong) Error() string { return w.Place + ": " + w.Err.Error() }

// Instead says what holds in place of the value.
func (w Wrong) Instead() string {
	switch {
	case w.Option.Kind == List:
		return "it is left out"
	case w.Option.Default != "":
		return "the default holds, " + w.Option.Default
	}
	return "the default holds"
}

// Stops reports whether stint run does not start the job with it.
func (w Wrong) Stops() bool {
	return w.Option.Effect != Connects && (w.Flag || w.Option.Effect != Describes)
}

// Resolve reads options that no flag set from the first of the sources that has them, and checks every value. It
// returns a *UsageError that names the place of the first wrong one.
func (s *Set) Resolve(sources ...Source) error {
	if wrong := s.Check(sources...); len(wrong) > 0 {
		return Usagef("%v", wrong[0])
	}
	return nil
}

// ResolveForJob is Resolve for stint run: of wrong values, only one that stops the job is an error.
func (s *Set) ResolveForJob(sources ...Source) (ignored []Wrong, err error) {
	wrong := s.Check(sources...)
	for _, w := range wrong {
		if w.Stops() {
			return nil, Usagef("%v", w)
		}
	}
	return wrong, nil
}

// Check is Resolve that returns all wrong values.
func (s *Set) Check(sources ...Source) (wrong []Wrong) {
	for _, o := range s.rows {
		wrong = append(wrong, s.resolve(o, sources)...)
	}
	return wrong
}

func (s *Set) resolve(o Option, sources []Source) (wrong []Wrong) {
	v := s.values[o.Name]
	v.source, v.rank = "--"+o.Name, len(sources)+1
	var settings []Setting
	flag := s.flags.Changed(o.Name)
	if flag {
		v.rank, v.given = 0, true
		settings = v.flagSettings(o)
	}
	for i := 0; i < len(sources) && v.rank > len(sources); i++ {
		if settings = sources[i].Settings(o); len(settings) == 0 {
			continue
		}
		v.rank, v.source, v.file = i+1, settings[0].Place, settings[0].File
		settings = slices.DeleteFunc(settings, func(s Setting) bool { return s.Default })
		v.given = len(settings) > 0
	}
	if len(settings) > 0 {
		v.source, v.file = settings[0].Place, settings[0].File
	}
	for _, w := range v.set(o, settings) {
		w.Option, w.Flag = o, flag
		wrong = append(wrong, w)
	}
	return wrong
}

// flagSettings returns what flags set; nothing for a Switch, whose flag has its value already.
func (v *value) flagSettings(o Option) (values []Setting) {
	switch o.Kind {
	case Switch:
	case List:
		for _, text := range v.list {
			values = append(values, Setting{Text: text, Place: v.source})
		}
	default:
		values = []Setting{{Text: v.text, Place: v.source}}
	}
	return values
}

// set takes over settings; none keep what there is. Of a List it leaves out what is wrong, otherwise the default holds.
func (v *value) set(o Option, settings []Setting) (wrong []Wrong) {
	if o.Kind == List {
		v.list, v.places = nil, nil
		for _, s := range settings {
			if err := o.check(s.Text); err != nil {
				wrong = append(wrong, Wrong{Place: s.Place, Err: err})
				continue
			}
			v.list, v.places = append(v.list, s.Text), append(v.places, s.Place)
		}
		if len(v.list) == 0 && o.Default != "" {
			v.list, v.places = []string{o.Default}, []string{v.source}
		}
		return wrong
	}
	place, err := v.source, error(nil)
	switch {
	case len(settings) > 1:
		place, err = settings[1].Place, fmt.Errorf("it was given before, by %s: remove one of the two", strings.TrimSuffix(settings[0].Place, ": "+o.Name))
	case len(settings) == 1:
		err = v.parse(o, settings[0].Text)
	default:
		err = v.parse(o, v.text)
	}
	if err == nil {
		return nil
	}
	*v = value{source: "--" + o.Name, rank: v.rank}
	return append([]Wrong{{Place: place, Err: err}}, v.set(o, []Setting{{Text: o.Default, Place: v.source}})...)
}

// check applies the rule of a row.
func (o Option) check(text string) error {
	if o.Check == nil {
		return nil
	}
	return o.Check(text)
}

// parse reads and checks a value that is not one of a List. An empty one is not checked.
func (v *value) parse(o Option, text string) (err error) {
	v.text = text
	if text == "" {
		return nil
	}
	switch o.Kind {
	case Duration:
		v.duration, err = ParseDuration(text)
	case Size:
		v.size, err = ParseSize(text)
	case Number:
		v.number, err = ParseNumber(text)
	case Switch:
		v.text = ""
		v.on, err = parseSwitch(text)
	}
	if err != nil || text == o.Default {
		return err
	}
	return o.check(text)
}
