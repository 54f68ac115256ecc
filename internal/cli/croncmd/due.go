package croncmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// expected is the expectation of a job of crontabs.
type expected struct {
	Job string `json:"job"`
	job.Expectation
	Due *api.Due `json:"due"` // as the server has it; null if nothing was set
}

// leftOut is a job of crontabs of which nothing can be expected.
type leftOut struct {
	Job string `json:"job"`
	Why string `json:"why"`
}

// expectations are those of all adopted jobs of crontabs.
type expectations struct {
	Set     []expected `json:"expected"`
	LeftOut []leftOut  `json:"left_out"`
}

// due has a server expect the adopted jobs at the times of their lines.
func (p *program) due() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "due [flags] [FILE…]",
		Short: "Have the server report when jobs of cron are not started",
		Long: `Set an expectation on the server for each job that stint cron adopt has adopted, as stint job
due does: at the times of its line in your crontab, /etc/crontab and /etc/cron.d, or in the
FILEs. Run it again after an edit. Jobs that have lines with different times, @reboot, and
expressions that only some crons know are left out. docs/due.md has the rules; stint job due JOB
--off deletes an expectation.`,
	}, []option.Option{
		userRow(),
		{FlagOnly: true, Name: "grace", Kind: option.Duration, Value: "DURATION", Help: "how long after its time a run is missed: 1m to 365d (default: 1h)"},
		{FlagOnly: true, Name: "zone", Value: "ZONE", Help: "time zone of cron, such as Europe/Berlin (default: CRON_TZ of the crontab, else that of this host)"},
		{FlagOnly: true, Name: "dry-run", Kind: option.Switch, Help: "only print what would be expected"},
	}, p.setDue, p.dueText)
}

// setDue sets what is expected.
func (p *program) setDue(ctx context.Context, r command.Request) (out expectations, err error) {
	if err := p.resolve(r.Opts, r.Args); err != nil {
		return out, err
	}
	grace := r.Opts.Duration("grace")
	if r.Opts.Given("grace") && (grace < time.Minute || grace%time.Second != 0) {
		return out, option.Usagef("--grace: %s is not a number of whole seconds from a minute on", grace)
	}
	zone := r.Opts.Text("zone")
	if zone == "" {
		if zone, err = p.host.zone(); err != nil {
			return out, err
		}
	}
	sources, err := p.sources(ctx, r.Opts.Text("user"), r.Args)
	if err != nil {
		return out, err
	}
	out = expect(sources, zone, r.Opts.Given("zone"), int64(grace/time.Second))
	for i, e := range out.Set {
		if r.Opts.On("dry-run") {
			break
		}
		set, err := r.PutDue(ctx, e.Job, api.DueRequest{Expectation: e.Expectation})
		if err != nil {
			return out, fmt.Errorf("expect %s: %w", job.Quote(e.Job), err)
		}
		out.Set[i].Expectation, out.Set[i].Due = set.Expectation, &set.Due
	}
	return out, nil
}

// expect returns when the adopted jobs of crontabs are expected to start, by name.
func expect(sources []source, zone string, force bool, grace int64) expectations {
	out := expectations{Set: []expected{}, LeftOut: []leftOut{}}
	found := map[string][]job.Expectation{}
	why := map[string]string{}
	for _, s := range sources {
		for _, e := range s.table.Entries() {
			if !e.Adopted {
				continue
			}
			x := job.Expectation{Cron: strings.TrimPrefix(e.Schedule, "-"), Zone: cmp.Or(e.Zone, zone), GraceSeconds: grace}
			if force {
				x.Zone = zone
			}
			if _, err := schedule.Parse(x.Cron); err != nil {
				why[e.Job] = err.Error()
			}
			if !slices.Contains(found[e.Job], x) {
				found[e.Job] = append(found[e.Job], x)
			}
		}
	}
	for name, all := range found {
		switch {
		case why[name] != "":
			out.LeftOut = append(out.LeftOut, leftOut{name, why[name]})
		case len(all) > 1:
			out.LeftOut = append(out.LeftOut, leftOut{name, fmt.Sprintf("it has %d lines of different times; one expectation has one", len(all))})
		default:
			out.Set = append(out.Set, expected{Job: name, Expectation: all[0]})
		}
	}
	slices.SortFunc(out.Set, func(a, b expected) int { return strings.Compare(a.Job, b.Job) })
	slices.SortFunc(out.LeftOut, func(a, b leftOut) int { return strings.Compare(a.Job, b.Job) })
	return out
}

// zone returns the name of the time zone of the host, by which its cron computes times.
func (h host) zone() (string, error) {
	if _, err := os.Stat(h.localtime); errors.Is(err, os.ErrNotExist) {
		return "UTC", nil
	}
	target, err := os.Readlink(h.localtime)
	if _, name, ok := strings.Cut(target, "zoneinfo/"); err == nil && ok {
		return name, nil
	}
	return "", fmt.Errorf("find the time zone of this host: %s is no link to a zone; give its name by --zone", h.localtime)
}

// dueText prints what is expected, and what is not.
func (p *program) dueText(all expectations) string {
	if len(all.Set)+len(all.LeftOut) == 0 {
		p.Say("no job of these crontabs is adopted; begin with: stint cron adopt")
		return ""
	}
	var rows [][]console.Cell
	for _, e := range all.Set {
		state := "not set"
		if e.Due != nil {
			state = string(e.Due.State)
		}
		rows = append(rows, []console.Cell{console.T(e.Job), console.T(e.Cron), console.T(e.Zone), console.T(state)})
	}
	for _, l := range all.LeftOut {
		p.Say("%s is not expected: %s", l.Job, l.Why)
	}
	if len(rows) == 0 {
		return ""
	}
	return p.Table([]console.Column{{Head: "JOB", Min: 16}, {Head: "TIMES", Min: 12}, {Head: "ZONE", Min: 8}, {Head: "STATE"}}, rows)
}
