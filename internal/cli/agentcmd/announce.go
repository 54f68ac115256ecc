package agentcmd

import (
	"fmt"
	"time"

	"golang.org/x/term"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/cli/announce"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// announce says which run is about to start: in the file of --print-run, and in lines on stderr if that is a
// terminal that the job has not for itself. The lines that it returns are nil otherwise.
func (a *agentProgram) announce(c *agent.Config, opts *option.Set) *announce.Lines {
	if file := opts.Text("print-run"); file != "" {
		if err := announce.WriteFile(file, announce.Record{Run: c.Run, Job: c.Job, Server: c.ServerURL}); err != nil {
			text := fmt.Sprintf("%s: %v; the job runs all the same", opts.Source("print-run"), err)
			a.Say("%s", text)
			c.Notes = append(c.Notes, text)
		}
	}
	own, known := c.Server.(*client.Client)
	var lines *announce.Lines
	if !c.Quiet && !c.TTY && a.shell == nil && term.IsTerminal(int(a.Err.Fd())) {
		address := ""
		if known {
			address = own.URL()
		}
		lines = announce.Begin(a.Say, c.Job, c.Run, address, time.Now())
		c.Ended = func(o job.Outcome) { lines.End(o, time.Now()) }
	}
	if known && (lines != nil || c.Overlap != nil) {
		c.Server = announce.Server{Client: own, Replied: func(r job.AppendReply) {
			lines.Replied(c.Job, r)
			if r.Number > 0 { // some replies are without
				c.Overlap.SetNumber(r.Number)
			}
		}}
	}
	return lines
}
