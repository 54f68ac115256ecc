package jobmetrics

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"stint.dev/stint/job"
)

// Label is a label of runs that series of their jobs have.
type Label struct {
	Key  string // of the runs
	Name string // of the series
}

// maxLabels is how many labels of runs series may have.
const maxLabels = 10

// ownLabels are the labels that series have anyway, or that Prometheus gives them.
var ownLabels = []string{"job_name", "rule", "severity", "state", "job", "instance"}

var notInName = regexp.MustCompile(`[^a-zA-Z0-9_]`)

// Labels returns the labels of runs with the given keys. A character that the name of a label in Prometheus may not
// have is _ in it. It refuses names that series have already.
func Labels(keys []string) ([]Label, error) {
	if len(keys) > maxLabels {
		return nil, fmt.Errorf("series of jobs may have %d labels of runs, and these are %d", maxLabels, len(keys))
	}
	var labels []Label
	for _, key := range keys {
		if err := job.CheckLabel(key, ""); err != nil {
			return nil, err
		}
		name := notInName.ReplaceAllString(key, "_")
		if name[0] >= '0' && name[0] <= '9' {
			name = "_" + name
		}
		if slices.Contains(ownLabels, name) || strings.HasPrefix(name, "__") {
			return nil, fmt.Errorf("the label %s of runs would be %s of series, which has another meaning: rename the label", job.Quote(key), name)
		}
		if at := slices.IndexFunc(labels, func(l Label) bool { return l.Name == name }); at >= 0 {
			return nil, fmt.Errorf("the labels %s and %s of runs would both be %s of series: choose one", job.Quote(labels[at].Key), job.Quote(key), name)
		}
		labels = append(labels, Label{Key: key, Name: name})
	}
	return labels, nil
}
