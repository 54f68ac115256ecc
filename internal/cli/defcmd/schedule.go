package defcmd

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/schedules"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/definition"
	"stint.dev/stint/internal/schedule"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// schedule shows and changes when the server starts jobs by itself.
func (p *program) schedule() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "schedule",
		Short: "Show, test, pause and backfill schedules of jobs",
		Long: `A schedule is when the server starts a job by itself. Schedules are part of the definition of a job:
docs/schedules.md describes them. Pausing, resuming and backfilling need a token of the scope write.

To start a job now, outside its schedules: stint submit JOB. stint explain RUN says for which time of
which schedule a run was made.`,
	}, p.scheduleList(), p.scheduleNext(), p.scheduleTest(), p.backfill(), p.pauseSchedule(), p.resumeSchedule())
}

// perhapsJob takes the name of a job, or none.
func perhapsJob(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return option.Usagef("%s takes the name of one JOB, or none", cmd.CommandPath())
	}
	if len(args) == 1 {
		return job.CheckName(args[0])
	}
	return nil
}

func nameIn(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

// timeFormat is that of the times of schedules: the weekday, and the offset of the zone, which changes with the clocks.
const timeFormat = "Mon 2006-01-02 15:04:05 -07:00"

// shownZone returns the zone in which a table shows the times of schedules: theirs if all have the same one, else that of the
// terminal.
func shownZone(all []api.Schedule) *time.Location {
	for _, s := range all {
		if s.Zone != all[0].Zone {
			return time.Local
		}
	}
	return cmp.Or(zonesOf(all)[0], time.Local)
}

// noSchedules is printed where there is nothing to list.
const noSchedules = "no schedules; they are part of the definition of a job, which stint apply applies"

type scheduleReply struct {
	Schedules []api.Schedule `json:"schedules"`
}

func (p *program) scheduleList() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use: "list [flags] [JOB]", Short: "List schedules with their next times", Args: perhapsJob,
	}, nil, func(ctx context.Context, r command.Request) (scheduleReply, error) {
		all, err := schedules.List(ctx, r.Client, nameIn(r.Args))
		return scheduleReply{all}, err
	}, p.schedulesText)
}

func (p *program) schedulesText(l scheduleReply) string {
	if len(l.Schedules) == 0 {
		p.Say(noSchedules)
		return ""
	}
	zone := shownZone(l.Schedules)
	var rows [][]console.Cell
	for _, s := range l.Schedules {
		next := console.T("never")
		switch {
		case s.Paused != nil:
			next = console.T(pausedText("paused", s.Paused))
		case s.JobPaused != nil:
			next = console.T(pausedText("the job is paused", s.JobPaused))
		case s.NextAt != nil:
			next = console.In(*s.NextAt, timeFormat, zone)
		}
		rows = append(rows, []console.Cell{console.T(s.Job), console.T(fmt.Sprint(s.Number)), console.T(s.When), console.T(s.Zone), next})
	}
	return p.Table([]console.Column{{Head: "JOB", Min: 16}, {Head: "SCHEDULE", Right: true, Drop: 1}, {Head: "WHEN", Min: 10}, {Head: "ZONE", Min: 8, Drop: 2}, {Head: "NEXT", Min: 30}}, rows)
}

// pausedText says who paused what, and why.
func pausedText(what string, p *api.Pause) string {
	text := what + " by " + p.By
	if p.Why != "" {
		text += ": " + p.Why
	}
	return text
}

type timesReply struct {
	Times []api.ScheduledTime `json:"times"`
	zone  *time.Location
}

func (p *program) scheduleNext() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "next [flags] [JOB]",
		Short: "List the next times at which jobs are started",
		Long: `List the next times of the schedules of a job, or of all jobs: in the zone of the schedules if they have the same
one, else in that of the terminal. Times that a change of the clocks moves are marked.`,
		Args: perhapsJob,
	}, []option.Option{
		{FlagOnly: true, Name: "number", Short: "n", Kind: option.Number, Value: "N", Help: "how many times (default: 10)"},
	}, func(ctx context.Context, r command.Request) (timesReply, error) {
		n := 10.0
		if r.Opts.Given("number") {
			n = r.Opts.Number("number")
		}
		if n < 1 || n > 1000 || n != float64(int(n)) {
			return timesReply{}, option.Usagef("--number: want a whole number from 1 to 1000")
		}
		times, err := schedules.Times(ctx, r.Client, nameIn(r.Args), int(n))
		if err != nil || r.Opts.On("json") {
			return timesReply{Times: times}, err
		}
		all, err := schedules.List(ctx, r.Client, nameIn(r.Args))
		return timesReply{times, shownZone(all)}, err
	}, func(l timesReply) string {
		if len(l.Times) == 0 {
			p.Say(noSchedules)
			return ""
		}
		var rows [][]console.Cell
		for _, one := range l.Times {
			note := one.Change
			if one.Paused {
				note = strings.TrimPrefix(note+", paused", ", ")
			}
			rows = append(rows, []console.Cell{
				console.In(one.At, timeFormat, l.zone), console.T(one.Job), console.T(fmt.Sprint(one.Schedule)), console.T(note),
			})
		}
		return p.Table([]console.Column{{Head: "TIME"}, {Head: "JOB", Min: 16}, {Head: "SCHEDULE", Right: true, Drop: 1}, {Head: "NOTE", Min: 12}}, rows)
	})
}

// periodRows are the options of a period.
func periodRows() []option.Option {
	return []option.Option{
		{FlagOnly: true, Name: "from", Value: "TIME", Help: "the first time: " + option.Moments},
		{FlagOnly: true, Name: "to", Value: "TIME", Help: "the end of the period"},
	}
}

// period reads the options of a period; times without a zone are those of a zone.
func period(opts *option.Set, from, to string, zone *time.Location) (begin, end time.Time, err error) {
	for name, at := range map[string]*time.Time{from: &begin, to: &end} {
		text := opts.Text(name)
		if text == "" {
			return begin, end, option.Usagef("give the period: --%s TIME --%s TIME", from, to)
		}
		if *at, err = option.ParseMoment(text, time.Now().In(zone)); err != nil {
			return begin, end, option.Usagef("--%s: %v", name, err)
		}
	}
	if !begin.Before(end) {
		return begin, end, option.Usagef("--%s is not before --%s", from, to)
	}
	return begin, end, nil
}

// mostRehearsed is the most times that a test prints.
const mostRehearsed = 10_000

func (p *program) scheduleTest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test [flags] FILE --from TIME --to TIME",
		Short: "Print what would become of each time of a definition's schedules",
		Long: `Simulate the schedules of a definition by the rules of the server, and print what would become
of each time. Nothing is started, and no server is needed. Times without a zone are in that of
the job. --down-from and --down-to simulate an outage of the server, --lasts the duration of
each run, which may overlap the next.`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return option.Usagef("%s needs the FILE of one definition", cmd.CommandPath())
			}
			return nil
		},
	}
	opts := option.Register(cmd.Flags(), append(periodRows(),
		option.Option{FlagOnly: true, Name: "down-from", Value: "TIME", Help: "no server runs from this time on"},
		option.Option{FlagOnly: true, Name: "down-to", Value: "TIME", Help: "until this time"},
		option.Option{FlagOnly: true, Name: "lasts", Kind: option.Duration, Value: "D", Help: "how long each run takes (default: no time)"}))
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		if err := opts.Resolve(option.Environment(p.Getenv)); err != nil {
			return err
		}
		text, err := os.ReadFile(args[0])
		if err != nil {
			return fmt.Errorf("read the definition: %w", err)
		}
		d, mistakes := definition.Parse(text, nil)
		if len(mistakes) > 0 {
			m := mistakes[0]
			return option.Usagef("%s, line %d, column %d: %s", args[0], m.Line, m.Column, m.Why)
		}
		out, err := rehearse(d, opts)
		if err != nil {
			return err
		}
		return console.WriteAll(p.Out, p.Table([]console.Column{{Head: "TIME", Min: 30}, {Head: "SCHEDULE", Right: true, Drop: 1}, {Head: "RESULT"}, {Head: "NOTE", Min: 12}}, out))
	}
	return cmd
}

// rehearse returns the rows of a test.
func rehearse(d definition.Definition, opts *option.Set) (rows [][]console.Cell, err error) {
	zone, err := d.Location()
	if err != nil {
		return nil, err
	}
	play := schedule.Rehearsal{Lasts: opts.Duration("lasts"), Skips: d.Overlap == "" || d.Overlap == definition.OverlapSkip, Most: mostRehearsed}
	if play.From, play.To, err = period(opts, "from", "to", zone); err != nil {
		return nil, err
	}
	if opts.Given("down-from") || opts.Given("down-to") {
		if play.DownFrom, play.DownTo, err = period(opts, "down-from", "down-to", zone); err != nil {
			return nil, err
		}
	}
	var rules []schedule.Rule
	for i, s := range d.Schedules {
		r, err := d.Rule(s)
		if err != nil {
			return nil, err
		}
		r.Spread = schedule.SpreadOf(d.Job, i+1, time.Duration(s.Spread))
		rules = append(rules, r)
	}
	all, more := play.Play(rules)
	for _, one := range all {
		at := one.At.Format(timeFormat)
		if one.Count > 1 {
			at += fmt.Sprintf(" and %d more until %s", one.Count-1, one.Last.Format("2006-01-02 15:04"))
		}
		note := strings.TrimPrefix(strings.Join([]string{one.Change, one.Why}, "; "), "; ")
		rows = append(rows, []console.Cell{console.T(at), console.T(fmt.Sprint(one.Rule + 1)), console.T(string(one.Result)), console.T(strings.TrimSuffix(note, "; "))})
	}
	if more {
		return nil, fmt.Errorf("the period has more than %d times: choose a shorter one", mostRehearsed)
	}
	return rows, nil
}

type occurrencesReply struct {
	Occurrences []api.OccurrenceRecord `json:"occurrences"`
	zones       zones
}

// zones are the time zones of the schedules of a job by their numbers; 0 has that of the first one.
type zones map[int]*time.Location

func zonesOf(all []api.Schedule) zones {
	z := zones{}
	for _, s := range all {
		at, err := time.LoadLocation(s.Zone)
		if err != nil {
			continue // the server knows zones that this host does not
		}
		z[s.Number] = at
		if z[0] == nil {
			z[0] = at
		}
	}
	return z
}

// of returns the zone of a schedule; that of the terminal for one that does not exist any more.
func (z zones) of(number int) *time.Location {
	return cmp.Or(z[number], z[0], time.Local)
}

func (p *program) backfill() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "backfill [flags] JOB --from TIME --to TIME",
		Short: "Create the missing runs of past times of a job's schedules",
		Long: `Create the runs of all past times of a job's schedules in a period that have no run: missed,
skipped, paused or refused ones, and times before the schedule existed. Times without a zone,
and printed times, are in that of the schedule, or of the job's first one. Defaults such as
yesterday are resolved for each time. Unless the definition allows overlaps, each run waits for
the one before. A repeated backfill creates no run twice. At most 1,000 times at once.`,
		Args: oneJob,
	}, append(periodRows(), scheduleRow()), func(ctx context.Context, r command.Request) (occurrencesReply, error) {
		number, err := scheduleNumber(r.Opts)
		if err != nil {
			return occurrencesReply{}, err
		}
		all, err := schedules.List(ctx, r.Client, r.Args[0])
		if err != nil {
			return occurrencesReply{}, err
		}
		zones := zonesOf(all)
		from, to, err := period(r.Opts, "from", "to", zones.of(number))
		if err != nil {
			return occurrencesReply{}, err
		}
		made, err := schedules.Backfill(ctx, r.Client, r.Args[0], api.Backfill{Schedule: number, From: from, To: to, By: command.UserName()})
		return occurrencesReply{made, zones}, err
	}, func(l occurrencesReply) string {
		var rows [][]console.Cell
		for _, o := range l.Occurrences {
			run := ""
			if o.Run != "" {
				run = fmt.Sprintf("#%d %s", o.Number, o.State)
			}
			rows = append(rows, []console.Cell{
				console.T(o.At.In(l.zones.of(o.Schedule)).Format(timeFormat)), console.T(fmt.Sprint(o.Schedule)), console.T(o.Result), console.T(run), console.T(o.Why),
			})
		}
		return p.Table([]console.Column{{Head: "TIME"}, {Head: "SCHEDULE", Right: true, Drop: 1}, {Head: "RESULT"}, {Head: "RUN"}, {Head: "WHY", Min: 12}}, rows)
	})
}

// scheduleRow is the option that names one schedule of a job.
func scheduleRow() option.Option {
	return option.Option{FlagOnly: true, Name: "schedule", Kind: option.Number, Value: "N", Help: "only the schedule of this number (default: all of the job)"}
}

func scheduleNumber(opts *option.Set) (int, error) {
	n := opts.Number("schedule")
	if opts.Given("schedule") && (n < 1 || n > 1_000_000 || n != float64(int(n))) {
		return 0, option.Usagef("--schedule: want the number of a schedule; stint schedule list shows them")
	}
	return int(n), nil
}

func (p *program) pauseSchedule() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "pause [flags] JOB",
		Short: "Keep the schedules of a job from starting it",
		Long: `Keep the schedules of a job from starting it until stint schedule resume. The job can still be
submitted; stint job pause prevents that too. Times in the pause are not caught up; stint
schedule backfill creates their runs.`,
		Args: oneJob,
	}, []option.Option{scheduleRow(), {FlagOnly: true, Name: "why", Value: "TEXT", Help: "the reason, which is shown with the schedule"}},
		func(ctx context.Context, r command.Request) (scheduleReply, error) {
			return eachSchedule(ctx, r, func(s api.Schedule) (api.Schedule, error) {
				return schedules.Pause(ctx, r.Client, s.Job, s.Number, command.UserName(), r.Opts.Text("why"))
			})
		}, p.schedulesText)
}

func (p *program) resumeSchedule() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use: "resume [flags] JOB", Short: "End the pause of a job's schedules", Args: oneJob,
	}, []option.Option{scheduleRow()}, func(ctx context.Context, r command.Request) (scheduleReply, error) {
		return eachSchedule(ctx, r, func(s api.Schedule) (api.Schedule, error) { return schedules.Resume(ctx, r.Client, s.Job, s.Number) })
	}, p.schedulesText)
}

// eachSchedule changes the schedules of a job, or the one that was named.
func eachSchedule(ctx context.Context, r command.Request, change func(api.Schedule) (api.Schedule, error)) (out scheduleReply, err error) {
	number, err := scheduleNumber(r.Opts)
	if err != nil {
		return out, err
	}
	all, err := schedules.List(ctx, r.Client, r.Args[0])
	if err != nil {
		return out, err
	}
	for _, s := range all {
		if number != 0 && s.Number != number {
			continue
		}
		changed, err := change(s)
		if err != nil {
			return out, err
		}
		out.Schedules = append(out.Schedules, changed)
	}
	if len(out.Schedules) == 0 {
		return out, fmt.Errorf("job %s has no such schedule: stint schedule list %s shows what it has", job.Quote(r.Args[0]), r.Args[0])
	}
	return out, nil
}
