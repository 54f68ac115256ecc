// Manpages writes the manual pages of stint and stint-agent: manpages VERSION SECONDS DIR, where SECONDS since 1970 are the
// date of the release. Each program has a directory of its own below DIR.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"stint.dev/stint/internal/cli"
	"stint.dev/stint/internal/cli/manual"
)

func main() {
	if err := write(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "manpages:", err)
		os.Exit(1)
	}
}

func write(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("manpages VERSION SECONDS DIR, not %q", args)
	}
	seconds, err := strconv.ParseInt(args[1], 10, 64)
	if err != nil {
		return fmt.Errorf("date of the release, in seconds since 1970: %w", err)
	}
	of := manual.Release{Version: args[0], Date: time.Unix(seconds, 0)}
	for _, root := range cli.Programs(of.Version) {
		dir := filepath.Join(args[2], root.Name())
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		for name, text := range manual.Pages(root, of) {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}
