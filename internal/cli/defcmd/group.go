package defcmd

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
)

// group manages the limits of groups.
func (p *program) group() *cobra.Command {
	return command.Group(&cobra.Command{
		Use:   "group",
		Short: "List and set limits of active runs",
		Long: `A group limits how many of its runs are active at once, on all workers together. A definition names
its group; so does stint submit --group with a command. Setting and deleting need a token of the
scope author.`,
	}, p.groupList(), p.groupSet(), p.groupDelete())
}

func oneGroup(cmd *cobra.Command, args []string) error {
	if len(args) != 1 {
		return option.Usagef("%s needs the NAME of one group", cmd.CommandPath())
	}
	return nil
}

type groupList struct {
	Groups []job.Group `json:"groups"`
}

func (p *program) groupList() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use: "list [flags]", Short: "List groups with their limits", Args: command.NoArgs,
	}, nil, func(ctx context.Context, r command.Request) (groupList, error) {
		all, err := r.Groups(ctx)
		return groupList{all}, err
	}, func(l groupList) string {
		if len(l.Groups) == 0 {
			p.Say("no groups yet; make one with: stint group set NAME --limit N")
			return ""
		}
		var rows [][]console.Cell
		for _, g := range l.Groups {
			rows = append(rows, []console.Cell{
				console.T(g.Name), console.T(fmt.Sprint(g.Limit)), console.T(fmt.Sprint(g.Active)), console.T(fmt.Sprint(g.Waiting)),
			})
		}
		return p.Table([]console.Column{{Head: "GROUP", Min: 12}, {Head: "LIMIT", Right: true}, {Head: "ACTIVE", Right: true}, {Head: "WAITING", Right: true}}, rows)
	})
}

func (p *program) groupSet() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "set [flags] NAME --limit N",
		Short: "Set how many runs of a group may be active at once",
		Long: `Set how many runs of a group may be active at once, and create the group if it does not exist.
With 0 none starts. Active runs continue, even if there are more.`,
		Args: oneGroup,
	}, []option.Option{
		{FlagOnly: true, Name: "limit", Kind: option.Number, Value: "N", Help: "how many runs may be active at once"},
	}, func(ctx context.Context, r command.Request) (job.Group, error) {
		limit := r.Opts.Number("limit")
		if !r.Opts.Given("limit") || limit < 0 || limit > job.MaxGroupLimit || limit != float64(int(limit)) {
			return job.Group{}, option.Usagef("--limit: want a whole number from 0 to %d", job.MaxGroupLimit)
		}
		return r.SetGroup(ctx, r.Args[0], int(limit))
	}, func(g job.Group) string {
		text := fmt.Sprintf("%s has the limit %d", g.Name, g.Limit)
		switch {
		case g.Limit == 0:
			text += ": none of its runs starts"
		case g.Active > int64(g.Limit):
			text += fmt.Sprintf("; %d are active, so none starts until %d have ended", g.Active, g.Active-int64(g.Limit)+1)
		}
		return console.Clean(text) + "\n"
	})
}

func (p *program) groupDelete() *cobra.Command {
	cmd := &cobra.Command{
		Use: "delete [flags] NAME", Short: "Delete a group: its runs have no common limit any more", Args: oneGroup,
	}
	opts := option.Register(cmd.Flags(), command.ServerRows())
	cmd.RunE = p.WithClient(opts, func(ctx context.Context, c *client.Client, args []string) error {
		if err := c.DeleteGroup(ctx, args[0]); err != nil {
			return err
		}
		return console.WriteAll(p.Out, console.Clean("group "+args[0]+" is deleted")+"\n")
	})
	return cmd
}
