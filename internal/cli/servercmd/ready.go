package servercmd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/option"
)

// readyLimit bounds the request whether a server is ready.
const readyLimit = 4 * time.Second

// serverReady asks the server on this host whether it is ready.
func (p *program) serverReady() *cobra.Command {
	cmd := &cobra.Command{
		Use: "ready [flags]", Short: "Ask the server on this host whether it is ready", Args: command.NoArgs,
		Long: `Ask the server that runs on this host whether it can do its work (GET /readyz): exit code 0
if it can, 1 if not. It reads the address from the options of stint server, so that in the
server's own environment, as in a container's health check, it needs none.`,
	}
	opts := option.Register(cmd.Flags(), []option.Option{
		{Name: "listen", Value: "ADDR", Default: defaultListen, Help: "address and port that the server listens on"},
		{Name: "tls-cert", Value: "FILE", Help: "given to a server that speaks TLS; the file is not read"},
	})
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := opts.Resolve(p.Getenv); err != nil {
			return err
		}
		ctx, stop := command.Interruptible(cmd)
		defer stop()
		scheme := "http"
		if opts.Text("tls-cert") != "" {
			scheme = "https"
		}
		host, err := local(opts.Text("listen"))
		if err != nil {
			return option.Usagef("%s: %v", opts.Source("listen"), err)
		}
		return askReady(ctx, scheme+"://"+host+"/readyz")
	}
	return cmd
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

// askReady returns an error with the reason why the server is not ready.
func askReady(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, readyLimit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	// The certificate names the server's public address, not the local one. Nothing secret is
	// sent, and the answer is worth one bit.
	web := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer web.CloseIdleConnections()
	resp, err := web.Do(req)
	if err != nil {
		return fmt.Errorf("no server answers on this host: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read, or is not wanted
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return errors.Join(fmt.Errorf("the server is not ready: HTTP %d", resp.StatusCode), err)
	}
	return fmt.Errorf("the server is not ready: HTTP %d: %s", resp.StatusCode, strings.TrimSpace(string(body)))
}
