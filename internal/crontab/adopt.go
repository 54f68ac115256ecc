package crontab

import (
	"cmp"
	"path"
	"slices"
)

const (
	// ShellName is the name of the program that runs the jobs of an adopted crontab.
	ShellName = "stint-sh"
	// RealShell is the variable with the shell that stint-sh runs; DefaultShell without it.
	RealShell = "STINT_REAL_SHELL"
	// JobName is the variable with the name of the job whose line follows, where its command would give it
	// the name of another one.
	JobName = "STINT_CRON_JOB"
	// DefaultShell is the shell of cron.
	DefaultShell = "/bin/sh"
)

// own reports whether a line is one of Stint's.
func (l Line) own() bool {
	return l.Kind == Variable && (l.Name == "SHELL" && path.Base(l.Value) == ShellName || l.Name == RealShell || l.Name == JobName)
}

// Release returns the crontab without Stint's lines.
func (t Table) Release() Table {
	return Table{Lines: slices.DeleteFunc(slices.Clone(t.Lines), Line.own), users: t.users}
}

// Adopt returns the crontab with lines that have cron run its jobs through shell, the path of stint-sh.
// Only lines are inserted, directly above jobs, and Stint's own are replaced: jobs keep their names, and Release returns what was
// there before. A job whose shell cannot be passed on is left alone.
func (t Table) Adopt(shell string) Table {
	names := t.names()
	out := Table{users: t.users}
	vars := map[string]string{} // as cron has them
	set := func(name, value string) bool {
		l, ok := variable(name, value)
		if ok {
			out.Lines, vars[name] = append(out.Lines, l), value
		}
		return ok
	}
	real := DefaultShell
	for _, l := range t.Release().Lines {
		switch {
		case l.Kind == Variable:
			vars[l.Name] = l.Value
			if l.Name == "SHELL" {
				real = l.Value
			}
		case l.Kind == Job && !Describe(l.Script()).Skip() && vars["STINT_SKIP"] != "1":
			if vars["SHELL"] != shell {
				if cmp.Or(vars[RealShell], DefaultShell) != real && !set(RealShell, real) || !set("SHELL", shell) {
					break
				}
			}
			name, c := names[l.Script()], Describe(l.Script())
			if name == c.Name || vars["STINT_JOB"] != "" || c.Set["STINT_JOB"] != "" {
				name = "" // as it is without the variable
			}
			if vars[JobName] != name {
				set(JobName, name)
			}
		}
		out.Lines = append(out.Lines, l)
	}
	return out
}

// Entry is a job of a crontab.
type Entry struct {
	Line
	Number  int // of the line, from 1
	Job     string
	Adopted bool
	Skipped bool   // it is to run without stint, or runs stint by itself
	Zone    string // CRON_TZ, by which some crons compute times; empty for that of the system
}

// Entries returns the jobs in their order.
func (t Table) Entries() []Entry {
	var all []Entry
	names := t.names()
	vars := map[string]string{}
	for i, l := range t.Lines {
		switch l.Kind {
		case Variable:
			vars[l.Name] = l.Value
		case Job:
			c := Describe(l.Script())
			e := Entry{Line: l, Number: i + 1, Zone: vars["CRON_TZ"], Skipped: c.Skip() || vars["STINT_SKIP"] == "1"}
			e.Adopted = !e.Skipped && path.Base(vars["SHELL"]) == ShellName
			e.Job = cmp.Or(c.Set["STINT_JOB"], vars["STINT_JOB"], names[l.Script()])
			if e.Adopted {
				e.Job = cmp.Or(c.Set["STINT_JOB"], vars[JobName], e.Job)
			}
			all = append(all, e)
		}
	}
	return all
}

// names returns the names of jobs by what their shells get. Jobs that differ have different names: the
// ones that are adopted keep theirs, and the others get a number where their name is taken.
func (t Table) names() map[string]string {
	names, taken := map[string]string{}, map[string]bool{}
	add := func(script, name string) {
		names[script], taken[name] = name, true
	}
	vars := map[string]string{}
	var others []string
	for _, l := range t.Lines {
		if l.Kind == Variable {
			vars[l.Name] = l.Value
		}
		script := l.Script()
		if l.Kind != Job || names[script] != "" {
			continue
		}
		c := Describe(script)
		switch name := cmp.Or(vars[JobName], c.Name); {
		case c.Set["STINT_JOB"] != "":
			add(script, c.Set["STINT_JOB"])
		case path.Base(vars["SHELL"]) == ShellName && !taken[name]:
			add(script, name)
		default:
			others = append(others, script)
		}
	}
	for _, script := range others {
		if names[script] != "" {
			continue
		}
		base := Describe(script).Name
		name := base
		for n := 2; taken[name]; n++ {
			name = numbered(base, n)
		}
		add(script, name)
	}
	return names
}
