package servercmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/archive"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/store"
	"stint.dev/stint/internal/store/recovery"
	"stint.dev/stint/job"
)

// archiveRow returns the option with the place of packed journals, for commands beside the server.
func archiveRow() option.Option {
	return option.Option{Name: "archive", Value: "PLACE", Help: "where finished logs are kept, as given to the server"}
}

func oneDir(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs one DIR, which it makes", cmd.CommandPath())
	}
	return nil
}

// mustHold refuses a data directory without a database: a mistyped one would be created, found
// in order, and backed up empty.
func mustHold(dir string) error {
	if dir == "" {
		return nil // PostgreSQL
	}
	_, err := os.Stat(filepath.Join(dir, "stint.db"))
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no server has worked in %s: it has no stint.db; name its data directory with --data, or its database with --database", dir)
	}
	return err
}

// serverCheck verifies everything that the server has stored.
func (p *program) serverCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use: "check [flags]", Short: "Verify every stored journal", Args: command.NoArgs,
		Long: `Read every stored journal again: the checksum of every record, the digest at the end, and
whether the tables contain what the journals record. It may run beside the server. With --repair,
for which the server must be stopped, the tables are rebuilt from the journals, and a journal
that is still being uploaded is truncated before its damaged part, so that its agent sends the
rest again; damage in packed logs, which no agent has any more, becomes a gap of exact size.
The exit code is 1 if a fault remains.

When the database itself is gone or damaged, --rebuild makes a new one from the journals in
the data directory and in the archive, and keeps the old file beside it. Runs, attempts,
logs and samples are recovered. What is in no journal is not: tokens, sessions, the audit log,
policies, routes and notifications, and the findings of the server. A PostgreSQL database
must be empty for it, and is rebuilt from the archive.`,
	}
	opts := option.Register(cmd.Flags(), append(
		storeRows(), archiveRow(),
		option.Option{FlagOnly: true, Name: "repair", Kind: option.Switch, Help: "rebuild tables, truncate damaged ends"},
		option.Option{FlagOnly: true, Name: "rebuild", Kind: option.Switch, Help: "make a new database from the journals, when it is gone or damaged"},
		option.Option{FlagOnly: true, Name: "json", Kind: option.Switch, Help: "print JSON, one finding a line, then the sum"},
	))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		if opts.On("rebuild") {
			return p.rebuild(ctx, opts)
		}
		return p.withJournals(ctx, opts, opts.On("repair"), func(db *store.Store) error {
			return p.check(ctx, db, opts.On("repair"), opts.On("json"))
		})
	}
	return cmd
}

// withJournals opens database and archive for one action.
func (p *program) withJournals(ctx context.Context, opts *option.Set, alone bool, do func(*store.Store) error) error {
	return p.withDatabase(ctx, opts, func(so *store.Options) (err error) {
		so.Beside = !alone || so.URL != "" // servers on PostgreSQL may go on
		so.Archive, err = p.openArchive(ctx, opts.Text("archive"), so, p.warnArchive)
		return err
	}, do)
}

// withDatabase opens the database for one action. prepare sets what the action needs besides.
func (p *program) withDatabase(ctx context.Context, opts *option.Set, prepare func(*store.Options) error, do func(*store.Store) error) (err error) {
	if err := opts.Resolve(option.Environment(p.Getenv)); err != nil {
		return err
	}
	so, err := p.storeOptions(opts)
	if err != nil {
		return err
	}
	if err := mustHold(so.Dir); err != nil {
		return err
	}
	if err := prepare(&so); err != nil {
		return err
	}
	db, err := store.Open(ctx, so)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return do(db)
}

func (p *program) check(ctx context.Context, db *store.Store, repair, asJSON bool) error {
	var printed error
	wrong := 0
	sum, err := recovery.Check(ctx, db, repair, func(f recovery.Finding) {
		if f.Repaired == "" {
			wrong++
		}
		printed = errors.Join(printed, p.printFinding(f, asJSON))
	})
	if err = errors.Join(err, printed); err != nil {
		return err
	}
	if asJSON {
		err = p.PrintJSON(sum)
	} else {
		err = console.WriteAll(p.Out, fmt.Sprintf("%s, %s, %s, %s in the archive: %s\n",
			console.Count(int64(sum.Attempts), "attempt"), console.Count(int64(sum.Blocks), "block"), job.Bytes(int64(sum.Bytes)),
			console.Count(int64(sum.Objects), "object"), console.Count(int64(sum.Findings), "finding")))
	}
	if err == nil && wrong > 0 {
		return fmt.Errorf("%d of %d findings are not repaired; stop the server and run: stint server check --repair", wrong, sum.Findings)
	}
	return err
}

func (p *program) printFinding(f recovery.Finding, asJSON bool) error {
	if asJSON {
		return p.PrintJSON(f)
	}
	return console.WriteAll(p.Out, findingLine(f)+"\n")
}

func findingLine(f recovery.Finding) string {
	line := f.What
	if f.Run != "" {
		line = fmt.Sprintf("run %s attempt %d", f.Run, f.Attempt)
		if f.At > 0 {
			line += fmt.Sprintf(", byte %d", f.At)
		}
		if f.To > 0 {
			line += fmt.Sprintf(" to %d", f.To)
		}
		line += ": " + f.What
	}
	if f.Repaired != "" {
		line += "; " + f.Repaired
	}
	return line
}

// serverBackup copies the data directory while a server works in it.
func (p *program) serverBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use: "backup [flags] DIR", Short: "Copy the data directory while the server runs", Args: oneDir,
		Long: `Write a copy of the data directory into DIR, which must not exist yet, as of one
moment, while the server goes on. DIR is then a data directory: start a server on
it with --data. The copy is marked: a server on it sends no notifications, judges no run and
deletes nothing until it is started with --activate. An archive that was named with --archive is not copied; the one inside of
the data directory is. Nor is the file with the key that secrets of notification routes are
encrypted with (secret.key): keep a copy of it apart from the backups.`,
	}
	opts := option.Register(cmd.Flags(), append(storeRows(), archiveRow()))
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		return p.withJournals(ctx, opts, false, func(db *store.Store) error {
			var to func() (store.Archive, error)
			if opts.Text("archive") == "" {
				to = func() (store.Archive, error) { return archive.OpenDir(filepath.Join(args[0], "archive")) }
			}
			if err := recovery.Backup(ctx, db, args[0], to); err != nil {
				return err
			}
			p.Say("copied to %s; start a server on it with --data %s; it takes no actions before --activate is given", args[0], args[0])
			p.Say("the key of notification routes (%s) is not in the copy: keep a copy in another place; without it routes must be set again", secretKeyName)
			return nil
		})
	}
	return cmd
}
