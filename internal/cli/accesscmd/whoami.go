package accesscmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"stint.dev/stint/client/lists"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/exitcode"
)

// identity is the caller as the server identifies them, and which server that is.
type identity struct {
	lists.Caller
	Server        string `json:"server"`
	ServerVersion string `json:"server_version"`
	tokenFrom     string // the option or variable; empty for no token
}

// whoami prints as whom a server takes the caller.
func (p *program) whoami() *cobra.Command {
	return command.Reply(p.Program, &cobra.Command{
		Use:   "whoami [flags]",
		Short: "Print your identity and scope on the server, and its address and version",
		Args:  command.NoArgs,
	}, nil, func(ctx context.Context, r command.Request) (id identity, err error) {
		id.Server = r.URL()
		if r.Opts.Text("token") != "" {
			id.tokenFrom = r.Opts.Source("token")
		}
		if id.Caller, err = lists.Me(ctx, r.Client); err != nil {
			return id, err
		}
		switch {
		case id.Scope != "":
		case id.tokenFrom == "":
			return id, refused("%s asks for a token: give it as STINT_TOKEN", id.Server)
		default:
			return id, refused("%s does not accept the token of %s: it is wrong, expired or revoked", id.Server, id.tokenFrom)
		}
		about, err := r.About(ctx)
		id.ServerVersion = about.Version
		return id, err
	}, p.identityText)
}

// refused is the error of a server that knows nobody here.
func refused(format string, args ...any) error {
	return &console.ExitError{Code: exitcode.Refused, Err: fmt.Errorf(format, args...)}
}

func (p *program) identityText(id identity) string {
	s := p.StyleFor(p.Out)
	var b strings.Builder
	row := func(name, text string) {
		fmt.Fprintf(&b, "%s  %s\n", s.Muted(fmt.Sprintf("%-6s", name)), console.Clean(text))
	}
	who := id.Name
	switch {
	case id.Via == "none":
		who = "anybody: the server needs no token from this host"
	case id.Via != "":
		who += ", by " + id.Via
	}
	row("who", who)
	row("scope", id.Scope)
	row("server", id.Server+", version "+id.ServerVersion)
	if id.CopiedAt != nil {
		row("", "its database is a copy, restored from a backup of "+console.LocalTime(*id.CopiedAt))
	}
	return b.String()
}
