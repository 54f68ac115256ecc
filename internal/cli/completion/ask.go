package completion

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/agent/bounded"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

const (
	// limit bounds the wait for all that is offered, and askLimit that for the server: what is kept is offered then.
	limit    = 300 * time.Millisecond
	askLimit = 240 * time.Millisecond
	// keptLimit bounds the wait for what is kept when all the time has gone to other questions.
	keptLimit = 20 * time.Millisecond
)

// answer returns what a server answers to a question, or what is kept of its last answer; nothing if neither is to
// be had in time.
func (r request) answer(question string, ask func(context.Context, *client.Client) ([]item, error)) []item {
	items, err := bounded.Call(max(limit-time.Since(r.began), keptLimit), func() ([]item, error) {
		c, token, err := r.client()
		if err != nil {
			return nil, err
		}
		defer c.Close()
		kept := cache{cacheDir(r.Getenv), time.Now}
		file := kept.file(c.URL(), token, question)
		old, fresh := kept.read(file)
		if fresh {
			return old, nil
		}
		ctx, cancel := context.WithDeadline(context.Background(), r.began.Add(askLimit))
		defer cancel()
		items, err := ask(ctx, c)
		if err != nil {
			return old, nil //nolint:nilerr // a completion reports nothing
		}
		kept.write(file, items)
		return items, nil
	})
	if err != nil {
		return nil
	}
	return items
}

// client makes the client that the options typed so far and the environment describe.
func (r request) client() (c *client.Client, token string, err error) {
	flags := pflag.NewFlagSet("completion", pflag.ContinueOnError)
	opts := option.Register(flags, command.ServerRows())
	known := false
	flags.VisitAll(func(f *pflag.Flag) {
		given := r.cmd.Flags().Lookup(f.Name)
		known = known || given != nil
		if given != nil && given.Changed {
			err = errors.Join(err, flags.Set(f.Name, given.Value.String()))
		}
	})
	if !known {
		return nil, "", errors.New("the command asks no server")
	}
	files, _ := r.Files() // a completion reports nothing
	if err = errors.Join(err, opts.Resolve(append([]option.Source{option.Environment(r.Getenv)}, files.Sources()...)...)); err != nil {
		return nil, "", err
	}
	if token, err = command.Token(opts); err != nil {
		return nil, "", err
	}
	c, err = command.Connect(opts, token, nil, r.Version, "")
	return c, token, err
}

// mostPrograms bounds how many programs are offered.
const mostPrograms = 2000

// programs returns the programs of the search path; files for a path.
func programs(r request) ([]cobra.Completion, cobra.ShellCompDirective) {
	if strings.Contains(r.typed, "/") || r.typed == "" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	items, err := bounded.Call(limit, func() (items []item, err error) {
		for _, dir := range filepath.SplitList(r.Getenv("PATH")) {
			if !filepath.IsAbs(dir) {
				continue
			}
			entries, err := os.ReadDir(dir)
			if err != nil {
				continue
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), r.typed) && !e.IsDir() && len(items) < mostPrograms {
					items = append(items, item{Value: e.Name()})
				}
			}
		}
		return items, nil
	})
	found := offered(items, r.typed)
	if err != nil || len(found) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	slices.Sort(found)
	return found, cobra.ShellCompDirectiveNoFileComp
}
