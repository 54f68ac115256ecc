package queue

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"stint.dev/stint/job"
)

const (
	maxDependencies = 100
	maxDelay        = 400 * 24 * time.Hour
	maxKeyBytes     = 256
	maxArgs         = 10_000
	maxSpecBytes    = 1 << 20
)

// ConflictError is the error of a submission that contradicts what is there.
type ConflictError struct{ Why string }

func (e *ConflictError) Error() string { return e.Why }

// AuthorError is the error of somebody who submits a command and may submit definitions only.
type AuthorError struct{}

func (e *AuthorError) Error() string {
	return "a command without a definition needs the scope author: submit a job that has a definition, or ask an author"
}

// Digest identifies a request: the same request has the same digest.
func Digest(r job.SubmitRequest) (string, error) {
	r.By = ""                    // another caller may repeat the request
	text, err := json.Marshal(r) // maps in the order of their keys
	if err != nil {
		return "", fmt.Errorf("encode the request for a run of job %s: %w", job.Quote(r.Job), err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}

func invalid(what, value, why string) error {
	return &job.InvalidError{What: what, Value: value, Why: why}
}

// Check returns an error if a request for a run is invalid, without regard to what is stored. run is the id of the run.
func Check(run string, r job.SubmitRequest) error {
	for _, check := range []func() error{
		func() error { return job.CheckRunID(run) },
		func() error { return job.CheckName(r.Job) },
		func() error { return checkLabels("label", r.Labels) },
		func() error { return checkLabels("required label", r.Requires) },
		func() error { return checkGroup(r.Group) },
		func() error { return checkAfter(run, r.After) },
		func() error { return checkTimes(r) },
		func() error { return checkWork(r) },
	} {
		if err := check(); err != nil {
			return err
		}
	}
	switch {
	case r.Priority != "" && r.Priority.Weight() == 0:
		return invalid("priority", string(r.Priority), "is none of low, normal and high")
	case !slices.Contains([]string{"", "queue", "skip", "allow"}, r.Overlap):
		return invalid("overlap", r.Overlap, "is none of queue, skip and allow")
	case len(r.Key) > maxKeyBytes:
		return invalid("key", r.Key, fmt.Sprintf("is longer than %d bytes", maxKeyBytes))
	}
	return nil
}

func checkLabels(what string, labels map[string]string) error {
	if len(labels) > job.MaxLabels {
		return invalid(what, "", fmt.Sprintf("there are %d, and may be %d", len(labels), job.MaxLabels))
	}
	for key, value := range labels {
		if err := job.CheckLabel(key, value); err != nil {
			return err
		}
	}
	return nil
}

func checkGroup(name string) error {
	if name == "" {
		return nil
	}
	return CheckGroup(name)
}

// CheckGroup refuses the name of a group, by the rule for names of jobs.
func CheckGroup(name string) error {
	if job.CheckName(name) != nil {
		return invalid("group", name, "must be a name: printable, without # and slashes, of 1 to 200 bytes")
	}
	return nil
}

func checkAfter(run string, all []job.Dependency) error {
	if len(all) > maxDependencies {
		return invalid("after", "", fmt.Sprintf("there are %d runs, and may be %d", len(all), maxDependencies))
	}
	for i, d := range all {
		switch {
		case job.CheckRunID(d.Run) != nil:
			return invalid("after", d.Run, "is not the id of a run")
		case d.Run == run:
			return invalid("after", d.Run, "is the run itself")
		case !slices.Contains([]string{WhenSucceeded, WhenEnded, WhenFailed}, d.When):
			return invalid("after", d.Run+":"+d.When, "must name succeeded, ended or failed")
		case slices.ContainsFunc(all[:i], func(o job.Dependency) bool { return o.Run == d.Run }):
			return invalid("after", d.Run, "is there twice")
		}
	}
	return nil
}

func checkTimes(r job.SubmitRequest) error {
	switch {
	case r.DelayMS < 0 || r.DelayMS > maxDelay.Milliseconds():
		return invalid("delay_ms", fmt.Sprint(r.DelayMS), fmt.Sprintf("must be from 0 to %d (400 days)", maxDelay.Milliseconds()))
	case r.DelayMS > 0 && r.NotBefore != nil:
		return invalid("delay_ms", fmt.Sprint(r.DelayMS), "is given together with not_before: choose one")
	case r.NotBefore != nil && (r.NotBefore.Year() < 1970 || r.NotBefore.Year() > 2200):
		return invalid("not_before", r.NotBefore.Format(time.RFC3339), "is out of range")
	}
	return nil
}

func checkWork(r job.SubmitRequest) error {
	c := r.Command
	if c == nil {
		if r.Group != "" {
			return invalid("group", r.Group, "belongs to the definition of the job")
		}
		return nil
	}
	text, err := json.Marshal(c)
	switch {
	case err != nil:
		return invalid("command", "", err.Error())
	case r.Version != "" || len(r.Parameters) > 0:
		return invalid("command", r.Job, "has neither a version nor parameters: those belong to definitions")
	case len(c.Args) == 0 || c.Args[0] == "":
		return invalid("command", "", "is empty")
	case len(c.Args) > maxArgs:
		return invalid("command", c.Args[0], fmt.Sprintf("has %d words, and may have %d", len(c.Args), maxArgs))
	case len(text) > maxSpecBytes:
		return invalid("command", c.Args[0], fmt.Sprintf("has %d bytes with all its options, and may have %d", len(text), maxSpecBytes))
	case c.Version > job.SpecVersion:
		return invalid("command", c.Args[0], fmt.Sprintf("has version %d of the spec, and this server knows versions up to %d: use a newer server", c.Version, job.SpecVersion))
	}
	return checkSpec(c)
}
