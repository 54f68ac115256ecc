package agentcmd

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/agent"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/agent/cache"
	"stint.dev/stint/internal/agent/statedir"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// installCache fills in what of the install is cached. Options that make no sense together,
// or would replace a directory that must stay, are refused before anything starts.
func installCache(c *agent.Config, opts *option.Set) error {
	c.InstallCache, c.CacheDirs = opts.List("install-cache"), opts.List("cache-dir")
	switch files, dirs := len(c.InstallCache), len(c.CacheDirs); {
	case files == 0 && dirs == 0:
		return nil
	case files == 0:
		return option.Usagef("%s: it needs --install-cache FILE: the lock file that decides what is in the directory", opts.Source("cache-dir"))
	case dirs == 0:
		return option.Usagef("%s: it needs --cache-dir DIR: the directory that the install steps make, such as node_modules or .venv", opts.Source("install-cache"))
	case len(c.Install) == 0:
		return option.Usagef("%s: it needs --install CMD: there is nothing to cache without install steps", opts.Source("install-cache"))
	}
	for _, f := range c.InstallCache {
		if f == "" {
			return option.Usagef("%s: the name of the file is empty", opts.Source("install-cache"))
		}
	}
	if err := checkCache(c); err != nil {
		return option.Usagef("%s: %v", opts.Source("cache-dir"), err)
	}
	return nil
}

// checkCache refuses directories that must stay. Where they do not answer nothing is cached.
func checkCache(c *agent.Config) error {
	r := cache.Request{WorkDir: c.DirPath, LockFiles: c.InstallCache, Dirs: c.CacheDirs}
	_, err := bounded.Call(command.FileLimit, func() (struct{}, error) { return struct{}{}, r.Check(c.StateDir) })
	var late *bounded.NoAnswerError
	if errors.As(err, &late) {
		c.Print("the install cache is not used: a directory of it, or " + c.StateDir + ", does not answer")
		c.InstallCache, c.CacheDirs = nil, nil
		return nil
	}
	return err
}

// cacheCommand shows and clears the install cache of this host.
func (a *agentProgram) cacheCommand() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "cache",
		Short: "List or prune the install cache of this host",
		Long: `List or prune the install cache of this host: results of install steps, which stint run
--install-cache FILE --cache-dir DIR keeps for later runs with the same installation.`,
	}, a.cacheList(), a.cachePrune())
}

// cached is an entry as JSON.
type cached struct {
	Key       string        `json:"key"`
	Bytes     int64         `json:"bytes"`
	Files     int           `json:"files"`
	CreatedAt *time.Time    `json:"created_at,omitempty"`
	UsedAt    time.Time     `json:"used_at"`
	Commands  []string      `json:"commands,omitempty"`
	Inputs    *cache.Inputs `json:"inputs,omitempty"`
	Damaged   string        `json:"damaged,omitempty"`
}

func cachedList(list []cache.ListedEntry) []cached {
	out := make([]cached, 0, len(list))
	for _, l := range list {
		c := cached{Key: l.Key, Bytes: l.Bytes, Files: l.Files, UsedAt: l.UsedAt, Damaged: l.Damaged}
		if l.Damaged == "" {
			c.CreatedAt, c.Commands, c.Inputs = &l.CreatedAt, l.Commands, &l.Inputs
		}
		out = append(out, c)
	}
	return out
}

func (a *agentProgram) openCache() (*cache.Cache, error) {
	dir, err := a.StateDir()
	if err != nil {
		return nil, err
	}
	if err := statedir.Check(dir, "cache"); err != nil {
		return nil, err
	}
	return cache.Open(dir), nil
}

func (a *agentProgram) cacheList() *cobra.Command {
	cmd := &cobra.Command{
		Use: "list [flags]", Short: "List the entries of the install cache, last used first", Args: command.NoArgs,
	}
	opts := option.Register(cmd.Flags(), []option.Option{command.JSONRow()})
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := a.program().Resolve(opts); err != nil {
			return err
		}
		c, err := a.openCache()
		if err != nil {
			return err
		}
		entries, unfinished, err := c.List()
		if err != nil {
			return err
		}
		if opts.On("json") {
			return a.PrintJSON(map[string]any{"dir": c.Dir(), "entries": cachedList(entries), "unfinished": len(unfinished)})
		}
		if len(unfinished) > 0 {
			a.Say("%d unfinished: being made, or left by an agent that died; prune removes leftovers", len(unfinished))
		}
		if len(entries) == 0 {
			a.Say("the install cache at %s is empty", c.Dir())
			return nil
		}
		return console.WriteAll(a.Out, a.cacheTable(entries, time.Now()))
	}
	return cmd
}

func (a *agentProgram) cacheTable(entries []cache.ListedEntry, now time.Time) string {
	s := a.StyleFor(a.Out)
	var rows [][]console.Cell
	for _, l := range entries {
		made := console.T(strings.Join(append(baseNames(l.Inputs.Dirs), l.Commands...), "; "))
		created := console.Ago(l.CreatedAt, now)
		if l.Damaged != "" {
			made, created = console.P("damaged: "+l.Damaged, s.Red), "?"
		}
		rows = append(rows, []console.Cell{
			console.P(cache.Short(l.Key), s.Bold), console.T(job.Bytes(l.Bytes)), console.T(fmt.Sprint(l.Files)),
			console.T(created), console.T(console.Ago(l.UsedAt, now)), made,
		})
	}
	return a.Table([]console.Column{{Head: "KEY"}, {Head: "SIZE", Right: true}, {Head: "FILES", Right: true, Drop: 1}, {Head: "CREATED", Right: true, Drop: 2}, {Head: "USED", Right: true}, {Head: "MADE BY", Min: 16}}, rows)
}

func baseNames(paths []string) []string {
	out := make([]string, 0, len(paths))
	for _, p := range paths {
		out = append(out, filepath.Base(p))
	}
	return out
}

func (a *agentProgram) cachePrune() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "prune [flags]",
		Short: "Remove entries of the install cache",
		Long: `Remove entries of the install cache. Without options only damaged entries and leftovers of agents
that died are removed. An entry that a run is reading stays.`,
		Args: command.NoArgs,
	}
	opts := option.Register(cmd.Flags(), []option.Option{
		{FlagOnly: true, Name: "older-than", Kind: option.Duration, Value: "D", Help: "remove what no run has used for this long"},
		{FlagOnly: true, Name: "max-size", Kind: option.Size, Value: "SIZE", Help: "then remove the longest unused until the rest is no larger than this"},
		{FlagOnly: true, Name: "all", Kind: option.Switch, Help: "remove everything"},
		command.JSONRow(),
	})
	cmd.RunE = func(*cobra.Command, []string) error {
		if err := a.program().Resolve(opts); err != nil {
			return err
		}
		choice := cache.PruneOptions{All: opts.On("all"), OlderThan: opts.Duration("older-than"), MaxBytes: opts.Size("max-size")}
		if opts.Given("max-size") && choice.MaxBytes <= 0 || opts.Given("older-than") && choice.OlderThan <= 0 {
			return option.Usagef("--older-than and --max-size must be greater than zero; --all removes everything")
		}
		c, err := a.openCache()
		if err != nil {
			return err
		}
		p, err := c.Prune(choice, time.Now())
		if err != nil {
			return err
		}
		return a.printPruned(p, opts.On("json"))
	}
	return cmd
}

func (a *agentProgram) printPruned(p cache.PruneResult, asJSON bool) error {
	if asJSON {
		return a.PrintJSON(map[string]any{
			"removed": cachedList(p.Removed), "in_use": cachedList(p.InUse), "leftover": p.Leftover, "kept": p.Kept,
		})
	}
	var freed int64
	for _, l := range p.Removed {
		freed += l.Bytes
	}
	text := fmt.Sprintf("entries removed: %d (%s), kept: %d", len(p.Removed), job.Bytes(freed), p.Kept)
	if len(p.InUse) > 0 {
		text += fmt.Sprintf(", left alone because a run uses them: %d", len(p.InUse))
	}
	if p.Leftover > 0 {
		text += fmt.Sprintf("; leftovers of agents that died: %d", p.Leftover)
	}
	return console.WriteAll(a.Out, text+"\n")
}
