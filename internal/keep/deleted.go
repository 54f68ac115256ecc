// Package keep has the rules of retention: which runs that have ended are deleted, and which settings of that wait first.
package keep

import (
	"fmt"
	"strings"
)

// Rule is a rule of retention, under the name that people set it by.
type Rule string

// The rules, in the order in which they are applied.
const (
	Days  Rule = "--keep-days"
	Runs  Rule = "--keep-runs"
	Bytes Rule = "--keep-bytes"
)

// Rules lists the rules.
func Rules() []Rule { return []Rule{Days, Runs, Bytes} }

// Deleted is what one pass of retention deleted.
type Deleted struct {
	Runs   int
	Bytes  int64 // of their journals, as they were stored
	ByRule map[Rule]int
	jobs   map[string]bool
}

// Add counts a run of a job that a rule deleted, and whose journals took bytes.
func (d *Deleted) Add(rule Rule, job string, bytes int64) {
	if d.ByRule == nil {
		d.ByRule, d.jobs = map[Rule]int{}, map[string]bool{}
	}
	d.Runs++
	d.Bytes += bytes
	d.ByRule[rule]++
	d.jobs[job] = true
}

// Jobs is the number of jobs of the deleted runs.
func (d *Deleted) Jobs() int { return len(d.jobs) }

// Counts says how many runs each rule deleted, as in "--keep-days 12, --keep-runs 3".
func (d *Deleted) Counts() string {
	var all []string
	for _, rule := range Rules() {
		if n := d.ByRule[rule]; n > 0 {
			all = append(all, fmt.Sprintf("%s %d", rule, n))
		}
	}
	return strings.Join(all, ", ")
}
