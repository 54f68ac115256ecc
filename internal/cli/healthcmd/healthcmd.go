// Package healthcmd holds stint health, which asks whether a server can do its work.
package healthcmd

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"stint.dev/stint/client"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/job"
	"stint.dev/stint/job/api"
)

// limit bounds the request. Engines of containers wait for a health check for about 5 seconds.
const limit = 4 * time.Second

type program struct{ *command.Program }

// Command makes the command health.
func Command(c *command.Program) *cobra.Command {
	p := &program{c}
	cmd := &cobra.Command{
		Use: "health [flags]", Short: "Ask the server whether it can do its work", Args: command.NoArgs,
		Long: `Ask the server whether it can do its work (GET /readyz, which needs no token), for scripts and
the health checks of containers: exit code 0 if it can, 1 and the reason if not. Of several
addresses it asks all, and each must be ready.

In the environment of a server, and without --server and STINT_SERVER, it asks the server at STINT_LISTEN on
this host, over TLS if STINT_TLS_CERT is set.`,
	}
	rows := slices.DeleteFunc(command.ServerRows(), func(o option.Option) bool { return strings.HasPrefix(o.Name, "token") })
	opts := option.Register(cmd.Flags(), rows)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		if err := p.Resolve(opts); err != nil {
			return err
		}
		servers, err := p.clients(opts)
		if err != nil {
			return err
		}
		return p.askAll(ctx, servers)
	}
	return cmd
}

// clients makes a client for each address that is asked.
func (p *program) clients(opts *option.Set) ([]*client.Client, error) {
	listen := p.Getenv("STINT_LISTEN")
	if opts.Given("server") && opts.File("server") == "" || listen == "" {
		p.WarnOfAddresses(opts)
		return command.ConnectEach(opts, "", p.Version)
	}
	host, err := local(listen)
	if err != nil {
		return nil, option.Usagef("STINT_LISTEN: %v", err)
	}
	o := client.Options{URL: "http://" + host, UserAgent: "stint/" + p.Version}
	if p.Getenv("STINT_TLS_CERT") != "" {
		// The certificate names the server's public address, not the local one. Nothing secret is
		// sent, and the answer is worth one bit.
		o.URL, o.TLS = "https://"+host, &tls.Config{InsecureSkipVerify: true}
	}
	c, err := client.New(o)
	return []*client.Client{c}, err
}

// local returns the address at which programs on the same host reach a listener.
func local(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("%q is not ADDRESS:PORT, as in 127.0.0.1:7846", listen)
	}
	switch ip := net.ParseIP(host); {
	case host == "", ip != nil && ip.Equal(net.IPv4zero):
		host = "127.0.0.1"
	case ip != nil && ip.IsUnspecified():
		host = "::1"
	}
	return net.JoinHostPort(host, port), nil
}

// askAll asks each server. It prints why some are not ready, and returns the last of these errors.
func (p *program) askAll(ctx context.Context, servers []*client.Client) (last error) {
	for _, server := range servers {
		err := p.ask(ctx, server)
		server.Close()
		if err == nil {
			continue
		}
		if last != nil {
			p.Say("%v", last)
		}
		last = err
	}
	return last
}

// ask prints that the server is ready, or returns why it is not.
func (p *program) ask(ctx context.Context, server *client.Client) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, err := server.Ready(ctx)
	var problem *job.Problem
	switch {
	case errors.As(err, &problem):
		return fmt.Errorf("%s is not ready: %w", server.URL(), problem)
	case err != nil:
		return err
	}
	return console.WriteAll(p.Out, server.URL()+" "+sentence(status)+"\n")
}

// sentence says that a server is ready, and what it cannot do all the same.
func sentence(s api.ServerStatus) string {
	impaired := slices.Clone(s.Degraded)
	if s.CopiedAt != nil {
		impaired = append(impaired, "it is a restored copy, on which nothing is judged, sent or deleted; start it with --activate to make it the original")
	}
	text := "is ready, version " + cmp.Or(s.Version, "unknown")
	if len(impaired) > 0 {
		text += ", but: " + strings.Join(impaired, "; ")
	}
	return console.Clean(text)
}
