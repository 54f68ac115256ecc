package servercmd

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"stint.dev/stint/internal/cli/command"
	"stint.dev/stint/internal/cli/console"
	"stint.dev/stint/internal/cli/option"
	"stint.dev/stint/internal/store"
)

// secretKeyName is the file in a data directory with the keys of the database's secrets.
const secretKeyName = "secret.key"

func secretKeyRow() option.Option {
	return option.Option{
		Name: "secret-key-file", Value: "FILE",
		Help: "the key that secrets of notification routes are encrypted with; made if it is missing (default: secret.key in the data directory, with PostgreSQL in the default one)",
	}
}

// secretKeyFile returns the file with the keys; empty where there is no place for it. The default
// directory of a server on PostgreSQL is made.
func (p *program) secretKeyFile(opts *option.Set, so store.Options) (string, error) {
	if file := opts.Text("secret-key-file"); file != "" {
		return filepath.Abs(file)
	}
	if so.Dir != "" {
		dir, err := filepath.Abs(so.Dir)
		return filepath.Join(dir, secretKeyName), err
	}
	state, err := p.StateDir()
	if err != nil {
		return "", fmt.Errorf("%w; give the file with the key of notification routes with --secret-key-file", err)
	}
	dir := filepath.Join(state, "server")
	_ = os.MkdirAll(dir, 0o700) // without it the file cannot be made either, which is reported
	return filepath.Join(dir, secretKeyName), nil
}

// serverRotateKey encrypts with a new key from now on.
func (p *program) serverRotateKey() *cobra.Command {
	cmd := &cobra.Command{
		Use: "rotate-key [flags]", Short: "Encrypt secrets of notification routes with a new key", Args: command.NoArgs,
		Long: `Add a new key in front of those in the secret key file, and encrypt the secrets of
notification routes with it. The older keys stay in the file, for backups; remove their lines
once no backup needs them. Routes that none of the keys decrypts must be set again.

With a data directory the server must be stopped. Servers on a PostgreSQL database may go on:
copy the file to each of them, which reads it again by itself. Until then those that lack the
new key send no notifications, and the others send theirs.`,
	}
	opts := option.Register(cmd.Flags(), append(storeRows(), secretKeyRow()))
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var file string
		return p.withDatabase(cmd.Context(), opts, func(so *store.Options) (err error) {
			so.Beside = so.URL != ""
			file, err = p.secretKeyFile(opts, *so)
			return err
		}, func(db *store.Store) error {
			left, err := db.RotateSecretKey(cmd.Context(), file)
			if err != nil {
				return err
			}
			for _, name := range left {
				p.Say("route %s could not be decrypted, and must be set again", console.Clean(name))
			}
			return console.WriteAll(p.Out, fmt.Sprintf("secrets of notification routes are encrypted with a new key, the first in %s\n", file))
		})
	}
	return cmd
}
