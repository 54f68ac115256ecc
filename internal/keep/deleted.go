// Package keep has the rules of retention: which runs that have ended are deleted, and which settings of that wait first.
package keep

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Rule is a rule of retention.
type Rule string

// The rules, in the order in which they are applied.
const (
	Days  Rule = "days"
	Runs  Rule = "runs"
	Bytes Rule = "bytes"
)

// Rules lists the rules.
func Rules() []Rule { return []Rule{Days, Runs, Bytes} }

// Option is the option of the server that sets the rule.
func (r Rule) Option() string { return "--keep-" + string(r) }

// Deleted is what one pass of retention deleted.
type Deleted struct {
	Runs   int
	Bytes  int64 // of their journals, as they were stored
	byName map[string]int
	jobs   map[string]bool
}

// Add counts a run of a job that a setting deleted, and whose journals took bytes.
func (d *Deleted) Add(by Setting, job string, bytes int64) {
	if d.jobs == nil {
		d.byName, d.jobs = map[string]int{}, map[string]bool{}
	}
	d.Runs++
	d.Bytes += bytes
	d.byName[by.Name()]++
	d.jobs[job] = true
}

// Jobs is the number of jobs of the deleted runs.
func (d *Deleted) Jobs() int { return len(d.jobs) }

// Counts says how many runs each rule deleted, as in "--keep-days 12, keep.runs 3": keep.runs is that of policies.
func (d *Deleted) Counts() string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(d.byName)) {
		all = append(all, fmt.Sprintf("%s %d", name, d.byName[name]))
	}
	return strings.Join(all, ", ")
}
