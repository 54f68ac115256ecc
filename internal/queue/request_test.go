package queue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/job"
)

const runID = "0197a000-0000-7000-8000-000000000001"

func TestCheckRequests(t *testing.T) {
	other := strings.Replace(runID, "0001", "0002", 1)
	then, never := noon, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	many := map[string]string{}
	for i := range job.MaxLabels + 1 {
		many[strings.Repeat("x", i+1)] = ""
	}
	command := func(c job.Spec) job.SubmitRequest { return job.SubmitRequest{Job: "a", Command: &c} }
	good := []job.SubmitRequest{
		{Job: "a"},
		{Job: "a", Priority: job.PriorityHigh, Overlap: "skip", DelayMS: 1000, Labels: map[string]string{"team": ""}},
		{Job: "a", NotBefore: &then, After: []job.Dependency{{Run: other, When: WhenEnded}}},
		command(job.Spec{Args: []string{"true"}, Env: map[string]string{"A": ""}}),
	}
	for _, r := range good {
		if err := Check(runID, r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for name, r := range map[string]job.SubmitRequest{
		"no job":            {},
		"job":               {Job: "a#b"},
		"label":             {Job: "a", Labels: map[string]string{"a=b": "c"}},
		"labels":            {Job: "a", Labels: many},
		"required label":    {Job: "a", Requires: map[string]string{"": "c"}},
		"group of a job":    {Job: "a", Group: "g"},
		"group":             {Job: "a", Group: "a/b", Command: &job.Spec{Args: []string{"true"}}},
		"priority":          {Job: "a", Priority: "urgent"},
		"overlap":           {Job: "a", Overlap: "replace"},
		"key":               {Job: "a", Key: strings.Repeat("k", 257)},
		"delay":             {Job: "a", DelayMS: -1},
		"long delay":        {Job: "a", DelayMS: 1 << 60},
		"two times":         {Job: "a", DelayMS: 1, NotBefore: &then},
		"no year":           {Job: "a", NotBefore: &never},
		"after itself":      {Job: "a", After: []job.Dependency{{Run: runID, When: WhenEnded}}},
		"after nothing":     {Job: "a", After: []job.Dependency{{Run: "x", When: WhenEnded}}},
		"after what":        {Job: "a", After: []job.Dependency{{Run: other, When: "started"}}},
		"after it twice":    {Job: "a", After: []job.Dependency{{Run: other, When: WhenEnded}, {Run: other, When: WhenFailed}}},
		"after many":        {Job: "a", After: make([]job.Dependency, 101)},
		"no command":        command(job.Spec{}),
		"empty command":     command(job.Spec{Args: []string{""}}),
		"many words":        command(job.Spec{Args: make([]string, 20_000)}),
		"NUL":               command(job.Spec{Args: []string{"a", "b\x00"}}),
		"not UTF-8":         command(job.Spec{Args: []string{"a", "\xff"}}),
		"directory":         command(job.Spec{Args: []string{"a"}, Dir: "\x00"}),
		"variable":          command(job.Spec{Args: []string{"a"}, Env: map[string]string{"A=B": ""}}),
		"value":             command(job.Spec{Args: []string{"a"}, Env: map[string]string{"A": "\x00"}}),
		"label of the spec": command(job.Spec{Args: []string{"a"}, Labels: map[string]string{"": ""}}),
		"large":             command(job.Spec{Args: []string{strings.Repeat("a", 1<<20)}}),
		"timeout":           command(job.Spec{Args: []string{"a"}, TimeoutMS: -1}),
		"CPUs":              command(job.Spec{Args: []string{"a"}, CPUs: -1}),
		"newer":             command(job.Spec{Args: []string{"a"}, Version: job.SpecVersion + 1}),
		"version":           {Job: "a", Version: "abcd", Command: &job.Spec{Args: []string{"true"}}},
		"parameters":        {Job: "a", Parameters: map[string]string{"A": ""}, Command: &job.Spec{Args: []string{"true"}}},
	} {
		var bad *job.InvalidError
		if err := Check(runID, r); !errors.As(err, &bad) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := Check("no id", good[0]); err == nil {
		t.Error("a run without an id")
	}
}

func TestDigests(t *testing.T) {
	digest := func(r job.SubmitRequest) string {
		text, err := Digest(r)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	one := job.SubmitRequest{Job: "a", Parameters: map[string]string{"A": "1", "B": "2"}}
	same := job.SubmitRequest{Job: "a", Parameters: map[string]string{"B": "2", "A": "1"}}
	same.By = "ada"
	other := job.SubmitRequest{Job: "a", Parameters: map[string]string{"A": "1", "B": "3"}}
	if digest(one) != digest(same) || digest(one) == digest(other) {
		t.Error("different requests have the same digest, or equal ones do not")
	}
}
