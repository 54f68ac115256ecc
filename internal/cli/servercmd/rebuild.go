package servercmd

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
)

// lostText lists what a rebuilt database does not have.
const lostText = "not in the journals, and lost: tokens, sessions, audit log, definitions, the queue, policies, routes, and the findings of the server\n"

// rebuild makes a new database from the journals.
func (p *program) rebuild(ctx context.Context, opts *option.Set) error {
	if err := opts.Resolve(option.Environment(p.Getenv)); err != nil {
		return err
	}
	if opts.On("repair") {
		return option.Usagef("--repair and --rebuild were both given: choose one")
	}
	so, err := p.storeOptions(opts)
	if err != nil {
		return err
	}
	if so.Archive, err = p.openArchive(ctx, opts.Text("archive"), &so, p.warnArchive); err != nil {
		return err
	}
	asJSON := opts.On("json")
	var printed error
	sum, err := recovery.Rebuild(ctx, so, objectsOf(so.Archive), func(f recovery.Finding) {
		printed = errors.Join(printed, p.printFinding(f, asJSON))
	})
	if err = errors.Join(err, printed); err != nil {
		return err
	}
	if asJSON {
		err = p.PrintJSON(sum)
	} else {
		err = console.WriteAll(p.Out, rebuiltText(sum))
	}
	if err == nil && sum.Findings > 0 {
		return fmt.Errorf("%s: the journals that they name were not recovered", console.Count(int64(sum.Findings), "finding"))
	}
	return err
}

func rebuiltText(sum recovery.Rebuilt) string {
	text := fmt.Sprintf("rebuilt from the journals: %s, %s, %s, %s\n%s", console.Count(int64(sum.Runs), "run"),
		console.Count(int64(sum.Attempts), "attempt"), console.Count(int64(sum.Blocks), "block"), job.Bytes(sum.Bytes), lostText)
	if sum.Aside != "" {
		text += "the old database is kept as " + sum.Aside + "\n"
	}
	return text
}

// objectsOf lists the objects of an archive.
func objectsOf(a store.Archive) recovery.Objects {
	listed, ok := a.(interface {
		List(ctx context.Context, prefix string) iter.Seq2[archive.Object, error]
	})
	if !ok {
		return nil
	}
	return func(ctx context.Context, fn func(name string, size int64) error) error {
		for o, err := range listed.List(ctx, "") {
			if err != nil {
				return err
			}
			if err := fn(o.Key, o.Size); err != nil {
				return err
			}
		}
		return nil
	}
}
