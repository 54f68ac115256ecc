package servercmd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"stint.dev/stint/internal/access"
	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store"
)

// adminTokenName is the file in a data directory that holds the secret of the first token.
const adminTokenName = "admin.token"

// adminTokenFiles returns the places for the first token's secret, the best first.
func (p *program) adminTokenFiles(so store.Options) []string {
	var files []string
	if so.Dir != "" {
		files = append(files, filepath.Join(so.Dir, adminTokenName))
	}
	if state, err := p.StateDir(); err == nil {
		if file := filepath.Join(state, "server", adminTokenName); len(files) == 0 || files[0] != file {
			files = append(files, file)
		}
	}
	return files
}

// makeFirstToken makes a token of the scope admin for a database that has none, and writes
// its secret to the first of the files that can be written, else to stderr.
func makeFirstToken(ctx context.Context, db *store.Store, cfg serveConfig) error {
	tokens, err := db.Tokens(ctx)
	if err != nil || len(tokens) > 0 {
		return err
	}
	secret, t, err := access.NewToken("first", access.Admin, time.Time{}, time.Now())
	if err == nil {
		err = db.CreateToken(ctx, t)
	}
	if err != nil {
		return fmt.Errorf("make the first token: %w", err)
	}
	var failed error
	for _, file := range cfg.Access.TokenFiles {
		err := writeSecret(file, secret)
		if err == nil {
			cfg.Log.Info("made the first token, of the scope admin", "file", file)
			return nil
		}
		failed = errors.Join(failed, err)
	}
	cfg.Log.Warn("the first token, of the scope admin, could not be written to a file; it is shown once on stderr", "error", failed)
	if cfg.Access.FirstToken != nil {
		cfg.Access.FirstToken(secret)
	}
	return nil
}

// writeSecret writes a file that only this user may read, whole or not at all.
func writeSecret(file, secret string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+adminTokenName+"-") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if _, err := f.WriteString(secret + "\n"); err != nil {
		return errors.Join(err, f.Close())
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

// removeRevoked removes those of the files whose token is not valid any more. A file that
// holds anything but a token is left alone.
func removeRevoked(ctx context.Context, db *store.Store, files []string) error {
	var failed error
	for _, file := range files {
		text, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		secret := strings.TrimSpace(string(text))
		if err == nil && !access.MayBeToken(secret) {
			continue
		}
		if err == nil {
			_, err = db.TokenByHash(ctx, access.Hash(secret))
		}
		var revoked *query.NotFoundError
		if errors.As(err, &revoked) {
			err = os.Remove(file)
		}
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("remove the secret of a revoked token: %w", err))
		}
	}
	return failed
}
