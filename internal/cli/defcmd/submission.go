package defcmd

import (
	"path/filepath"
	"slices"
	"strings"
	"time"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/jobname"
	"stint.dev/stint/job"
)

// readSubmission makes a request of options and arguments. dashed says that all arguments come after --:
// they are a command then.
func readSubmission(opts *option.Set, args []string, dashed bool, now time.Time) (r job.SubmitRequest, err error) {
	r.Again, r.Version = opts.Text("again"), opts.Text("version")
	switch {
	case r.Again != "" && (len(args) > 0 || opts.Text("script") != ""):
		return r, option.Usagef("--again says what to run: give no JOB and no COMMAND")
	case opts.Text("script") != "" && len(args) > 0:
		return r, option.Usagef("--script and a JOB or COMMAND were both given: choose one")
	case opts.On("follow") && opts.On("json"):
		return r, option.Usagef("--follow prints what the run prints, and --json the run: choose one, or use --wait")
	case r.Again != "":
	case opts.Text("script") != "":
		r.Command, r.Job = &job.Spec{Args: []string{"sh", "-c", opts.Text("script")}}, "sh"
	case len(args) == 0:
		return r, option.Usagef("stint submit needs the JOB to run, or -- COMMAND")
	case dashed:
		r.Command, r.Job = &job.Spec{Args: args}, jobname.Of(args)
	case len(args) > 1:
		return r, option.Usagef("stint submit needs one JOB; a command comes after --: stint submit -- %s", job.CommandLine(args))
	default:
		r.Job = args[0]
	}
	if r.Command == nil {
		err = forDefinition(opts, &r)
	} else {
		err = forCommand(opts, &r)
	}
	if err != nil {
		return r, err
	}
	return r, forAll(opts, &r, now)
}

// forDefinition reads what belongs to a job that has a definition.
func forDefinition(opts *option.Set, r *job.SubmitRequest) (err error) {
	for _, o := range commandRows() {
		if opts.Given(o.Name) && r.Again != "" {
			return option.Usagef("--%s cannot be combined with --again: a command has the options that it was submitted with", o.Name)
		}
		if opts.Given(o.Name) {
			return option.Usagef("--%s is for a command: the definition of job %s says it", o.Name, job.Quote(r.Job))
		}
	}
	r.Parameters, err = pairs("param", opts.List("param"), nil)
	return err
}

// forCommand reads what belongs to a command without a definition.
func forCommand(opts *option.Set, r *job.SubmitRequest) (err error) {
	if opts.Given("version") {
		return option.Usagef("--version is for a job that has a definition")
	}
	if opts.Given("param") {
		return option.Usagef("--param is for a job that has a definition: give a command its variables with --env")
	}
	c := r.Command
	c.Version = job.SpecVersion
	if opts.Given("job") {
		r.Job = opts.Text("job")
	}
	r.Group = opts.Text("group")
	c.Dir, c.Install, c.CacheFiles, c.CacheDirs = opts.Text("dir"), opts.List("install"), opts.List("install-cache"), opts.List("cache-dir")
	if c.Dir != "" && !filepath.IsAbs(c.Dir) {
		return option.Usagef("--dir: %s is not an absolute path, and the worker may be on another host", job.Quote(c.Dir))
	}
	if c.Env, err = pairs("env", opts.List("env"), nil); err != nil {
		return err
	}
	c.TimeoutMS, c.InstallMS = opts.Duration("timeout").Milliseconds(), opts.Duration("install-timeout").Milliseconds()
	c.NoOutputMS = opts.Duration("no-output-timeout").Milliseconds()
	c.MemoryBytes, c.CPUs = opts.Size("memory-limit"), opts.Number("cpu-limit")
	return nil
}

// forAll reads what every run may have.
func forAll(opts *option.Set, r *job.SubmitRequest, now time.Time) (err error) {
	if r.Again == "" { // else the run says of which job
		if err := job.CheckName(r.Job); err != nil {
			return option.Usagef("%v", err)
		}
	}
	r.Priority, r.Key, r.DelayMS = job.Priority(opts.Text("priority")), opts.Text("key"), opts.Duration("delay").Milliseconds()
	if r.Priority != "" && r.Priority.Weight() == 0 {
		return option.Usagef("--priority: %s is none of low, normal and high", job.Quote(string(r.Priority)))
	}
	if r.Overlap = opts.Text("overlap"); r.Overlap != "" && !slices.Contains(overlaps, r.Overlap) {
		return option.Usagef("--overlap: %s is none of queue, skip and allow", job.Quote(r.Overlap))
	}
	if r.Labels, err = pairs("label", opts.List("label"), job.CheckLabel); err != nil {
		return err
	}
	if r.Requires, err = pairs("require", opts.List("require"), job.CheckLabel); err != nil {
		return err
	}
	if text := opts.Text("at"); text != "" {
		if opts.Given("delay") {
			return option.Usagef("--delay and --at both say when to start: choose one")
		}
		at, err := startTime(text, now)
		if err != nil {
			return err
		}
		r.NotBefore = &at
	}
	for _, text := range opts.List("after") {
		d := dependency(text)
		if _, number, ok := strings.Cut(d.Run, "#"); ok && strings.Contains(number, ":") {
			return option.Usagef("--after: %s does not end with one of :succeeded, :ended and :failed", job.Quote(text))
		}
		r.After = append(r.After, d)
	}
	return nil
}

// overlaps are what a submission may do while the job is at work.
var overlaps = []string{"queue", "skip", "allow"}

// whens are how a run that another one waits for may have to end.
var whens = []string{"succeeded", "ended", "failed"}

// dependency reads RUN[:WHEN].
func dependency(text string) job.Dependency {
	if at := strings.LastIndex(text, ":"); at >= 0 && slices.Contains(whens, text[at+1:]) {
		return job.Dependency{Run: text[:at], When: text[at+1:]}
	}
	return job.Dependency{Run: text, When: whens[0]}
}

// startTime reads a time of the clock, which is the next one, or a date and time.
func startTime(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339, text); err == nil {
		return at.UTC(), nil
	}
	zone := now.Location()
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02T15:04:05", "2006-01-02T15:04"} {
		if at, err := time.ParseInLocation(layout, text, zone); err == nil {
			return at.UTC(), nil
		}
	}
	for _, layout := range []string{"15:04", "15:04:05"} {
		clock, err := time.Parse(layout, text)
		if err != nil {
			continue
		}
		at := time.Date(now.Year(), now.Month(), now.Day(), clock.Hour(), clock.Minute(), clock.Second(), 0, zone)
		if !at.After(now) {
			at = time.Date(now.Year(), now.Month(), now.Day()+1, clock.Hour(), clock.Minute(), clock.Second(), 0, zone)
		}
		return at.UTC(), nil
	}
	return time.Time{}, option.Usagef("--at: %s is no time; write 15:04, 2006-01-02 15:04 or 2006-01-02T15:04:05Z", job.Quote(text))
}

// pairs reads K=V options; nil for none.
func pairs(name string, list []string, check func(k, v string) error) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil //nolint:nilnil // none
	}
	all := make(map[string]string, len(list))
	for _, kv := range list {
		k, v, found := strings.Cut(kv, "=")
		if !found || k == "" {
			return nil, option.Usagef("--%s: %s is not K=V", name, job.Quote(kv))
		}
		if _, twice := all[k]; twice {
			return nil, option.Usagef("--%s: %s is given twice", name, job.Quote(k))
		}
		if check != nil {
			if err := check(k, v); err != nil {
				return nil, option.Usagef("--%s: %v", name, err)
			}
		}
		all[k] = v
	}
	return all, nil
}
