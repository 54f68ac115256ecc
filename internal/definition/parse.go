package definition

import (
	"slices"
	"strings"

	"stint.dev/stint/internal/policy"
	"stint.dev/stint/internal/yaml"
	"stint.dev/stint/job"
)

// MaxSize is the most bytes that the text of a definition may have.
const MaxSize = 256 << 10

// Bounds of a definition.
const (
	mostMistakes    = 50
	mostInstall     = 50
	mostVariables   = 500
	mostParameters  = 100
	mostChoices     = 1000
	mostSchedules   = 100
	mostWords       = 10_000
	maxDescription  = 4 << 10
	maxArgument     = 128<<10 - 1 // the longest that Linux passes to a program
	longestDuration = policy.Longest
)

// Mistake is a mistake in the text of a definition.
type Mistake = yaml.Mistake

// later are the keys that are read and that no server acts on yet.
var later = map[string]string{
	"secrets": "this version has no secrets yet: leave the key out, and have the job read them from its host",
	"engine":  "this version runs jobs on its own workers only: leave the key out",
	"keep":    "it is a part of the policy: write policy: {keep: {days: 90, runs: 500}}",
}

// PolicyCheck reads a health policy and returns its first mistake.
type PolicyCheck func(yaml.Value) error

// Parse reads a definition. It returns all mistakes, in the order of their places; without any the
// definition is complete. The rules of health policies are those of checkPolicy; nil for a program that
// does not act on them, such as a worker, which then links none of them.
func Parse(text []byte, checkPolicy PolicyCheck) (Definition, []*Mistake) {
	return parse(text, later, checkPolicy)
}

// parse is Parse where some keys are refused, each with its reason.
func parse(text []byte, refused map[string]string, checkPolicy PolicyCheck) (Definition, []*Mistake) {
	if len(text) > MaxSize {
		return Definition{}, []*Mistake{yaml.At(1, 1, "a definition has at most %d bytes, and this one has %d", MaxSize, len(text))}
	}
	d := decoder{refused: refused, checkPolicy: checkPolicy, given: map[string]yaml.Key{}}
	mistakes := yaml.Document(string(text), "definition", mostMistakes, d.document)
	if len(mistakes) > 0 {
		return Definition{}, mistakes
	}
	if d.Limits != nil && *d.Limits == (Limits{}) {
		d.Limits = nil // as if it were left out
	}
	return d.Definition, nil
}

// decoder is a definition that is being read.
type decoder struct {
	Definition
	refused     map[string]string
	checkPolicy PolicyCheck
	given       map[string]yaml.Key
	// late are checks that need all of the definition.
	late []func() *Mistake
}

// field is a key that a mapping may have, and how its value is read.
type field struct {
	key  string
	read func(yaml.Value) error
}

func readFields(v yaml.Value, of string, fields []field) error {
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	return v.Each(of, keys, func(key yaml.Key, v yaml.Value) error {
		return fields[slices.Index(keys, key.Name)].read(v)
	})
}

func (d *decoder) fields() []field {
	return []field{
		{"job", text(&d.Job, job.CheckName)},
		{"description", text(&d.Description, atMost(maxDescription))},
		{"command", d.command},
		{"script", text(&d.Script, atMost(maxArgument))},
		{"dir", text(&d.Dir, checkDir)},
		{"install", texts(&d.Install, "install", mostInstall, atMost(maxArgument))},
		{"install_cache", d.installCache},
		{"env", d.env},
		{"secrets", d.secrets},
		{"zone", text(&d.Zone, checkZone)},
		{"parameters", d.parameters},
		{"limits", d.limits},
		{"retries", d.retries},
		{"requires", d.requires},
		{"priority", oneOf(&d.Priority, job.PriorityLow, job.PriorityNormal, job.PriorityHigh)},
		{"group", text(&d.Group, checkGroup)},
		{"start_within", span(&d.StartWithin)},
		{"overlap", oneOf(&d.Overlap, OverlapSkip, OverlapQueue, OverlapAllow)},
		{"schedules", d.schedules},
		{"policy", d.policy},
		{"engine", func(v yaml.Value) error { return anyMapping(v, "engine", &d.Engine) }},
		{"keep", d.keep},
	}
}

// document reads the whole definition.
func (d *decoder) document(root yaml.Value) error {
	fields := d.fields()
	var keys []string
	for _, f := range fields {
		keys = append(keys, f.key)
	}
	err := root.Each("a definition", keys, func(key yaml.Key, v yaml.Value) error {
		d.given[key.Name] = key
		if why := d.refused[key.Name]; why != "" {
			if err := v.Note(key.Wrong("%s: %s", key.Name, why)); err != nil {
				return err
			}
		}
		return fields[slices.Index(keys, key.Name)].read(v)
	})
	if err != nil {
		return err
	}
	for _, check := range append(d.late, d.checks(root)...) {
		if m := check(); m != nil {
			if err := root.Note(m); err != nil {
				return err
			}
		}
	}
	return nil
}

// checks are what the keys say together.
func (d *decoder) checks(root yaml.Value) []func() *Mistake {
	has := func(key string) bool { _, ok := d.given[key]; return ok }
	return []func() *Mistake{
		func() *Mistake {
			if !has("job") {
				return root.Wrong("a definition needs the name of its job: job: NAME")
			}
			return nil
		},
		func() *Mistake {
			switch {
			case has("command") && has("script"):
				return d.given["script"].Wrong("there is a command and a script: write one of them")
			case !has("command") && !has("script"):
				return root.Wrong("a definition needs a command, such as command: [python, report.py], or a script")
			}
			return nil
		},
		func() *Mistake {
			if has("install_cache") && !has("install") {
				return d.given["install_cache"].Wrong("install_cache is about what install steps make, and there are none")
			}
			return nil
		},
		func() *Mistake {
			if total := d.defaultBytes(); total > MaxValuesBytes {
				return d.given["parameters"].Wrong("the defaults have %d bytes, and values may have %d together", total, MaxValuesBytes)
			}
			return nil
		},
	}
}

func (d *decoder) defaultBytes() (total int) {
	for _, p := range d.Parameters {
		if p.Default != nil {
			total += len(*p.Default)
		}
	}
	return total
}

func (d *decoder) command(v yaml.Value) error {
	if _, err := v.Ahead().Text(); err == nil {
		return v.Wrong("command must be a list of words, such as [python, report.py]; a line for the shell is a script")
	}
	err := v.Items("command", func(i int, v yaml.Value) error {
		word := ""
		if err := textOrEmpty(&word, atMost(maxArgument))(v); err != nil {
			return err
		}
		if i == 0 && word == "" || i >= mostWords {
			return v.Wrong("a command has a program and at most %d words", mostWords)
		}
		d.Command = append(d.Command, word)
		return nil
	})
	if err == nil && len(d.Command) == 0 {
		err = v.Wrong("the command has no words")
	}
	return err
}

func (d *decoder) installCache(v yaml.Value) error {
	c := &Cache{}
	d.InstallCache = c
	err := readFields(v, "install_cache", []field{
		{"files", texts(&c.Files, "files", mostInstall, atMost(4096))},
		{"dirs", texts(&c.Dirs, "dirs", mostInstall, atMost(4096))},
	})
	if err == nil && (len(c.Files) == 0 || len(c.Dirs) == 0) {
		err = v.Wrong("install_cache needs files, which decide what is installed, and dirs, which have it: {files: [requirements.txt], dirs: [.venv]}")
	}
	return err
}

// once checks at the end that a variable is set by one key of the definition only.
func (d *decoder) once(by, name string, wrong func(format string, args ...any) *Mistake) {
	d.late = append(d.late, func() *Mistake {
		_, inEnv := d.Env[name]
		_, inSecrets := d.Secrets[name]
		switch {
		case inEnv:
			return wrong("%s is set in env too: write it in one place", job.Quote(name))
		case inSecrets && by != "secrets":
			return wrong("%s is set in secrets too: write it in one place", job.Quote(name))
		}
		return nil
	})
}

func (d *decoder) env(v yaml.Value) error {
	d.Env = map[string]string{}
	return v.Each("env", nil, func(key yaml.Key, v yaml.Value) error {
		if why := checkVariable(key.Name); why != "" {
			return key.Wrong("%s", why)
		}
		if len(d.Env) >= mostVariables {
			return key.Wrong("env has more than %d variables", mostVariables)
		}
		value := ""
		err := textOrEmpty(&value, atMost(maxArgument))(v)
		if err == nil {
			d.Env[key.Name] = value
		}
		return err
	})
}

func (d *decoder) secrets(v yaml.Value) error {
	d.Secrets = map[string]string{}
	return v.Each("secrets", nil, func(key yaml.Key, v yaml.Value) error {
		if why := checkVariable(key.Name); why != "" {
			return key.Wrong("%s", why)
		}
		name := ""
		err := text(&name, checkGroup)(v)
		if err == nil {
			d.Secrets[key.Name] = name
			d.once("secrets", key.Name, key.Wrong)
		}
		return err
	})
}

func (d *decoder) limits(v yaml.Value) error {
	l := &Limits{}
	d.Limits = l
	return readFields(v, "limits", []field{
		{"timeout", span(&l.Timeout)},
		{"install_timeout", span(&l.InstallTimeout)},
		{"memory", size(&l.Memory)},
		{"cpu", number(&l.CPU, 0.001, 100_000)},
		{"no_output", span(&l.NoOutput)},
	})
}

// RetryReasons are the reasons of ends after which another attempt may follow.
var RetryReasons = []job.Reason{
	"agent_lost", "host_rebooted", "host_lost", "preempted", "evicted", "install_failed", "could_not_start", "out_of_memory",
	"exit_code", "signal", "timeout", "install_timeout", "no_output", "no_progress", "agent_stopped",
}

func (d *decoder) retries(v yaml.Value) error {
	r := &Retries{}
	d.Retries = r
	limited := false
	err := readFields(v, "retries", []field{
		{"limit", func(v yaml.Value) error {
			limited = true
			return whole(&r.Limit, 0, 100)(v)
		}},
		{"backoff", spanOrZero(&r.Backoff)},
		{"on", func(v yaml.Value) error {
			return v.Items("on", func(_ int, v yaml.Value) error {
				var reason job.Reason
				err := oneOf(&reason, RetryReasons...)(v)
				if err == nil && slices.Contains(r.On, reason) {
					err = v.Wrong("%s is there twice", reason)
				}
				if err == nil {
					r.On = append(r.On, reason)
				}
				return err
			})
		}},
		{"hold", func(v yaml.Value) error {
			r.Hold = new(Duration)
			return spanOrZero(r.Hold)(v)
		}},
		{"memory", func(v yaml.Value) error { return r.memory(v) }},
	})
	if err == nil && !limited {
		err = v.Wrong("retries need a limit, the most further attempts: {limit: 2}")
	}
	return err
}

func (r *Retries) memory(v yaml.Value) error {
	written := ""
	if err := text(&written, nil)(v); err != nil {
		return err
	}
	if !strings.HasSuffix(written, "x") || r.Memory.UnmarshalText([]byte(written)) != nil || r.Memory < 1 || r.Memory > 16 {
		r.Memory = 0
		return v.Wrong("%s is not a factor from 1x to 16x, such as 2x", job.Quote(written))
	}
	return nil
}

func (d *decoder) requires(v yaml.Value) error {
	d.Requires = map[string]string{}
	return v.Each("requires", nil, func(key yaml.Key, v yaml.Value) error {
		if len(d.Requires) >= job.MaxLabels {
			return key.Wrong("there are more than %d labels", job.MaxLabels)
		}
		value := ""
		if err := textOrEmpty(&value, nil)(v); err != nil {
			return err
		}
		if err := job.CheckLabel(key.Name, value); err != nil {
			return key.Wrong("%s", err)
		}
		d.Requires[key.Name] = value
		return nil
	})
}

func (d *decoder) keep(v yaml.Value) error {
	k := &Keep{}
	d.Keep = k
	return readFields(v, "keep", []field{{"days", whole(&k.Days, 1, 36_500)}, {"runs", whole(&k.Runs, 1, 100_000_000)}})
}
