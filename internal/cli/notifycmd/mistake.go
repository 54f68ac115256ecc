package notifycmd

import (
	"strings"

	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/notify"
	"stint.dev/stint/job/api"
)

// options are the options of stint notify set by the fields that they set.
var options = map[string]string{
	"name": "NAME", "url": "--url", "secret": "--secret", "match.job": "--match-job", "match.severity": "--severity",
	"match.labels": "--match-label", "match.events": "--event", "quiet.cron": "--quiet-cron", "quiet.duration": "--quiet-for",
	"quiet.zone": "--quiet-zone", "group_seconds": "--group", "repeat_seconds": "--repeat",
}

// check refuses a route that cannot work, in terms of the options that describe it.
func check(r api.Route) error {
	if q := r.Quiet; q != nil && (q.Cron == "" || q.Duration == "") {
		return option.Usagef("quiet hours need both --quiet-cron, when they begin, and --quiet-for, how long they last")
	}
	err := notify.Check(r, notify.Options{PrivateTargets: true}) // whether it accepts these, the server says
	if err == nil {
		return nil
	}
	field, why, _ := strings.Cut(err.Error(), ": ")
	field, _, _ = strings.Cut(field, "[")
	name := options[field]
	if name == "" {
		return option.Usagef("route %s: %v", r.Name, err)
	}
	if strings.HasSuffix(field, "_seconds") {
		why += " seconds"
	}
	return option.Usagef("%s: %s", name, why)
}
