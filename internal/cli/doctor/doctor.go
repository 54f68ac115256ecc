// Package doctor checks what an agent needs on a host: server, certificate, token, clock, disk,
// containment and limits.
package doctor

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/process"
	"stint.dev/stint/internal/agent/spool"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/job"
)

// Finding is the result of one check.
type Finding struct {
	Check  string `json:"check"`
	Level  string `json:"level"` // ok, warning, error
	Detail string `json:"detail"`
	Do     string `json:"do,omitempty"`
}

// Config is what an agent on this host would use.
type Config struct {
	// Servers are clients of the addresses of the server, at least one; BadAddresses are those that cannot be used.
	Servers      []*client.Client
	BadAddresses []error
	Token        bool                   // the clients send a token
	Roots        *x509.CertPool         // authorities that the client trusts; nil for the system's
	StateDir     func() (string, error) // of the agent
	Containment  process.Options        // of a job; Run and Attempt are not used
}

// Check runs every check.
func Check(ctx context.Context, c Config) []Finding {
	var found []Finding
	for _, err := range c.BadAddresses {
		found = append(found, Finding{"server", "error", err.Error(), "the other addresses are used"})
	}
	var urls []string
	for _, s := range c.Servers {
		urls = append(urls, s.URL())
		found = append(found, checkServer(ctx, s), checkTLS(ctx, s.URL(), c.Roots, time.Now()), checkToken(ctx, s, c.Token))
	}
	found = append(found, checkInstallations(ctx, c.Servers)...)
	found = append(found, stateFindings(c.StateDir, urls)...)
	c.Containment.Run, c.Containment.Attempt = noRun, 1
	found = append(found, checkContainment(c.Containment)...)
	found = append(found, checkRuntime()...)
	return append(found, checkFiles(), checkPipes())
}

// checkInstallations reports addresses that lead to another installation than those before them.
func checkInstallations(ctx context.Context, servers []*client.Client) (found []Finding) {
	if len(servers) < 2 {
		return nil
	}
	first, of := "", ""
	for _, s := range servers {
		limited, cancel := context.WithTimeout(ctx, 10*time.Second)
		id, err := s.Installation(limited)
		cancel()
		switch {
		case err != nil: // that it does not answer is reported
		case id == "":
			found = append(found, Finding{"server", "warning", s.URL() + " does not say which installation it belongs to: agents do not use it beside another address", "upgrade it"})
		case first == "":
			first, of = id, s.URL()
		case id != first:
			found = append(found, Finding{"server", "error", fmt.Sprintf("%s and %s belong to different installations: a run that began at one is never sent to the other", of, s.URL()), "give addresses of one installation only"})
		}
	}
	return found
}

// checkServer requests the version of the server and compares the clocks.
func checkServer(ctx context.Context, c *client.Client) Finding {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	before := time.Now()
	about, err := c.About(ctx)
	took := time.Since(before)
	var problem *job.Problem
	switch {
	case errors.As(err, &problem) && problem.Status == http.StatusUnauthorized:
		return Finding{"server", "error", err.Error(), "set STINT_TOKEN to a valid token"}
	case err != nil:
		return Finding{"server", "error", err.Error(), "until it answers, jobs run and their journals wait on this host"}
	}
	detail := fmt.Sprintf("%s answers in %s, version %s", c.URL(), job.DurationText(took), about.Version)
	if clock, err := http.ParseTime(about.Date); err == nil {
		// The header has whole seconds, so half a second is its middle.
		skew := before.Add(took / 2).Sub(clock.Add(500 * time.Millisecond)).Round(time.Second)
		if skew.Abs() > 2*time.Second {
			return Finding{"server", "warning", fmt.Sprintf("%s; this host's clock is %s off", detail, skew), "keep the clock with NTP"}
		}
		detail += ", clocks agree"
	}
	return Finding{"server", "ok", detail, ""}
}

// stateLimit bounds the check of the state directory.
const stateLimit = 10 * time.Second

func stateFindings(stateDir func() (string, error), servers []string) []Finding {
	findings, err := bounded.Call(stateLimit, func() ([]Finding, error) { return checkState(stateDir, servers), nil })
	if err != nil {
		return []Finding{{"state", "error", "the state directory: " + err.Error(), "set STINT_STATE to a file system that answers; until then journals are held in memory only"}}
	}
	return findings
}

// checkState checks the state directory, and counts the journals that wait in it.
func checkState(stateDir func() (string, error), servers []string) []Finding {
	dir, err := stateDir()
	if err != nil {
		return []Finding{{"state", "error", err.Error(), "set STINT_STATE to a directory that this user can write"}}
	}
	const inMemory = "meanwhile journals are held in memory only"
	sp, err := spool.Open(dir)
	if err != nil {
		return []Finding{{"state", "error", err.Error(), inMemory}}
	}
	if err := writable(sp.Dir()); err != nil {
		return []Finding{{"state", "error", err.Error(), "set STINT_STATE to a directory that this user can write; " + inMemory}}
	}
	out := []Finding{spaceFinding(dir)}
	waiting, err := sp.List()
	if err != nil {
		return append(out, Finding{"spool", "error", err.Error(), ""})
	}
	var bytes int64
	for _, e := range waiting {
		bytes += e.Size
	}
	if len(waiting) == 0 {
		return append(out, Finding{"spool", "ok", "nothing waits for delivery", ""})
	}
	return append(out, Finding{
		"spool", "warning", fmt.Sprintf("%s (%s) waiting or being written", console.Count(int64(len(waiting)), "journal"), job.Bytes(bytes)),
		"stint flush --server " + strings.Join(servers, ",") + " delivers what is finished; with --any also what was meant for another server",
	})
}

func writable(dir string) error {
	f, err := os.CreateTemp(dir, ".doctor-")
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), os.Remove(f.Name()))
}

// checkContainment makes the containment that a run would get, and removes it. A limit that was
// not given is checked with a value that restricts nothing.
func checkContainment(o process.Options) []Finding {
	if o.MemoryLimitBytes == 0 {
		o.MemoryLimitBytes = 1 << 40
	}
	if o.CPULimit == 0 {
		o.CPULimit = 1024
	}
	g, err := process.Contain(o)
	if err != nil {
		return []Finding{{"containment", "error", err.Error(), ""}}
	}
	out := []Finding{{"containment", "ok", "jobs are contained by " + g.Level(), better(g.Level())}}
	if o.AtMost != "" && g.Level() == o.AtMost {
		out[0].Detail, out[0].Do = out[0].Detail+", the best that --containment allows", ""
	}
	for _, n := range g.Notes() {
		out = append(out, Finding{"containment", "warning", strings.ReplaceAll(n, "\n", "; "), "jobs run all the same, without it"})
	}
	if err := g.Close(); err != nil {
		out = append(out, Finding{"containment", "warning", err.Error(), ""})
	}
	return out
}
