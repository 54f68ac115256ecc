package server_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"

	"stint.dev/stint/job"
)

// pingLabels tests the labels that an expectation gives to the runs of its pings.
func pingLabels(k *check) {
	k.put(`{"every_seconds":86400,"labels":{"team":"db","wire":"mine","rid":"none"}}`)
	k.ping("GET", "/start?rid="+k.a, "")
	k.put(`{"cron":"0 3 * * *","zone":"UTC"}`) // keeps them
	k.ping("GET", "?rid="+k.a, "")
	k.clock.add(time.Minute)
	k.ping("GET", "/fail?rid="+k.a, "") // the id is not free any more
	k.states(job.Succeeded, job.Failed)
	for i, want := range []map[string]string{
		{"team": "db", "rid": "none", "wire": "healthchecks", "began_with": "started"},
		{"team": "db", "rid": k.a, "wire": "healthchecks", "began_with": "failed"},
	} {
		if diff := cmp.Diff(want, k.runs()[i].Labels); diff != "" {
			k.t.Errorf("labels of run %d (-want +got):\n%s", i, diff)
		}
	}
	var found struct{ Runs []job.Run }
	k.read("/api/v1/runs?label=team%3Ddb&job="+k.name, &found)
	if len(found.Runs) != 2 {
		k.t.Errorf("%d runs have the label", len(found.Runs))
	}
	for labels, want := range map[string]string{
		`{"a=b":"c"}`: `labels, at \"a=b\": label key`,
		`{"k":"\n"}`:  `labels, at \"k\": label value`,
		`{"":"c"}`:    "is empty",
		`{"k":"` + strings.Repeat("v", 257) + `"}`: "is longer than",
		`{"k":7}`:                  "body.labels.k",
		`{` + manyLabels(62) + `}`: "are more than 61",
	} {
		got := k.do("PUT", "/api/v1/jobs/"+k.name+"/due", []byte(`{"every_seconds":60,"labels":`+labels+`}`), "Authorization", "Bearer "+k.admin, "Content-Type", "application/json")
		if got.status != 422 && got.status != 400 || !strings.Contains(string(got.body), want) {
			k.t.Errorf("%.40s: %d %s, want %q", labels, got.status, got.body, want)
		}
	}
	k.put(`{"every_seconds":86400,"labels":{` + manyLabels(61) + `}}`)
	k.clock.add(time.Minute)
	k.ping("GET", "?rid="+k.a, "") // with the most labels, a run has no more than it may have
	if n := len(k.runs()[2].Labels); n != job.MaxLabels {
		k.t.Errorf("the run has %d labels", n)
	}
	k.put(`{"every_seconds":86400,"labels":{}}`)
	if d := k.due(); d.Labels != nil {
		k.t.Errorf("labels %v", d.Labels)
	}
}

// manyLabels returns the members of a JSON object with n labels.
func manyLabels(n int) string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf(`"label-%d":""`, i))
	}
	return strings.Join(all, ",")
}
