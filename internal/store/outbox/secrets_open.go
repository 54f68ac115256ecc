package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/secretkey"
	"stint.dev/stint/job/api"
)

// OpenSecrets reads the keys, encrypts all secrets with the first of them, and removes remains of
// secrets that were stored in clear.
func (s *Outbox) OpenSecrets(ctx context.Context, file string) error {
	if file == "" {
		return nil
	}
	s.secrets.file = file
	used, err := usedKey(ctx, s.Writer, "")
	if err != nil {
		return err
	}
	// On a data directory no other server can have the missing key.
	alone := !s.Dialect.Postgres
	keys, made, err := s.readKeys(used, alone)
	if err != nil {
		return err
	}
	taken, err := s.encryptRoutes(ctx, keys, alone)
	if err != nil {
		return err
	}
	if made && !taken { // another server was first with another key; nobody has used this one
		keys, err = nil, os.Remove(s.secrets.file)
		if err != nil {
			return fmt.Errorf("remove a key that is not used: %w", err)
		}
	}
	s.secrets.keys = keys
	if taken {
		s.removePlaintext(ctx)
	}
	if err := errors.Join(s.Refresh(ctx), s.CheckKey(ctx)); err != nil { // those of the last process may be over
		return err
	}
	_, err = s.Deliveries(ctx) // records the routes whose secrets cannot be decrypted
	return err
}

// RotateSecretKey adds a key to a file, which it creates if it is missing, and encrypts the secrets of
// routes with it. It returns the routes that none of the keys decrypts.
func (s *Outbox) RotateSecretKey(ctx context.Context, file string) (left []string, err error) {
	s.secrets.file = file
	keys, err := secretkey.Add(file)
	if err != nil {
		return nil, err
	}
	// If this fails, the next start of a server does it.
	if _, err := s.encryptRoutes(ctx, keys, true); err != nil {
		return nil, err
	}
	s.secrets.keys = keys
	s.removePlaintext(ctx)
	all, err := s.Deliveries(ctx)
	for _, d := range all {
		if d.Route.Error != "" {
			left = append(left, d.Route.Name)
		}
	}
	return left, err
}

func (s *Outbox) encryptRoutes(ctx context.Context, keys secretkey.Keys, alone bool) (taken bool, err error) {
	err = s.Write(ctx, db.None, func(t *db.Tx) (err error) {
		taken, err = encryptStored(ctx, t, keys, alone)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("encrypt secrets of notification routes: %w", err)
	}
	return taken, nil
}

// canEncrypt reports whether a server may encrypt with the first of its keys from now on. The key of
// other servers must be among its keys, so that each can decrypt what another one encrypts.
func canEncrypt(used string, keys secretkey.Keys, alone bool) bool {
	if len(keys) == 0 {
		return false
	}
	_, held := keys.Find(used)
	return held || used == "" || alone
}

// encryptStored encrypts the secrets of all routes with the first key, unless other servers use another
// one. Secrets that cannot be decrypted do not change.
func encryptStored(ctx context.Context, t *db.Tx, keys secretkey.Keys, alone bool) (taken bool, err error) {
	used, err := usedKey(ctx, t, t.Dialect.Lock)
	if err != nil || !canEncrypt(used, keys, alone) {
		return false, err
	}
	stored, err := storedRoutes(ctx, t)
	if err != nil {
		return false, err
	}
	changed := false
	for _, one := range stored {
		var r api.Route
		if json.Unmarshal(one.doc, &r) != nil {
			continue // a troubled item says so
		}
		r.Name = one.name
		if id, _ := secretkey.Encrypted(one.secret); id == keys[0].ID() || decryptRoute(&r, one.secret, keys.Decrypt) != nil {
			continue
		}
		doc, secret, err := encryptRoute(keys[0], r)
		if err != nil {
			return false, err
		}
		if _, err := t.ExecContext(ctx, `UPDATE routes SET doc = $2, secret = $3 WHERE name = $1`, one.name, doc, secret); err != nil {
			return false, fmt.Errorf("store route %s: %w", one.name, err)
		}
		changed = true
	}
	if !changed && used == keys[0].ID() {
		return true, nil
	}
	return true, recordKey(ctx, t, keys[0], changed)
}

type storedRoute struct {
	name   string
	doc    []byte
	secret string
}

func storedRoutes(ctx context.Context, t *db.Tx) ([]storedRoute, error) {
	rows, err := t.QueryContext(ctx, `SELECT name, doc, secret FROM routes ORDER BY name`+t.Dialect.Lock)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	defer rows.Close() //nolint:errcheck // rows.Err below reports any error
	var all []storedRoute
	for rows.Next() {
		var one storedRoute
		if err := rows.Scan(&one.name, &one.doc, &one.secret); err != nil {
			return nil, fmt.Errorf("read routes: %w", err)
		}
		all = append(all, one)
	}
	return all, rows.Err()
}

// longVacuumBytes is the size of a database from which its vacuum is logged.
const longVacuumBytes = 256 << 20

// removePlaintext removes secrets from the files of the database that were stored before secrets were
// encrypted: databases leave them in free pages. If that fails, the next start tries again.
func (s *Outbox) removePlaintext(ctx context.Context) {
	var remains int
	err := s.Writer.QueryRowContext(ctx, `SELECT secret_remains FROM installation`).Scan(&remains)
	if err == nil && remains == 0 {
		return
	}
	if err == nil {
		err = s.vacuumSecrets(ctx)
	}
	if err == nil {
		_, err = s.Writer.ExecContext(ctx, `UPDATE installation SET secret_remains = 0`)
	}
	if err != nil && ctx.Err() == nil {
		s.Log.Error("secrets that were stored in clear before may still be in free pages of the database; the next start tries again to remove them", "error", err)
	}
}

func (s *Outbox) vacuumSecrets(ctx context.Context) error {
	if s.Dialect.Postgres {
		return s.vacuumTables(ctx, "routes", "logins")
	}
	var pages, size, busy, log, moved int64
	if err := s.Writer.QueryRowContext(ctx, `SELECT page_count, page_size FROM pragma_page_count(), pragma_page_size()`).Scan(&pages, &size); err != nil {
		return fmt.Errorf("read the size of the database: %w", err)
	}
	if pages*size > longVacuumBytes {
		s.Log.Info("the database is written anew, once, to remove secrets that were stored in clear; that takes a while", "bytes", pages*size)
	}
	if _, err := s.Writer.ExecContext(ctx, `VACUUM`); err != nil {
		return fmt.Errorf("write the database anew: %w", err)
	}
	if err := s.Writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &log, &moved); err != nil {
		return fmt.Errorf("empty the write-ahead log: %w", err)
	}
	if busy != 0 {
		return errors.New("empty the write-ahead log: another process reads the database")
	}
	return nil
}

// vacuumTables makes PostgreSQL rewrite tables.
func (s *Outbox) vacuumTables(ctx context.Context, tables ...string) (err error) {
	conn, err := s.Writer.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connect to %s: %w", s.Dialect.Name, err)
	}
	defer func() {
		_, rerr := conn.ExecContext(context.WithoutCancel(ctx), `RESET lock_timeout`)
		err = errors.Join(err, rerr, conn.Close())
	}()
	// Another server reads the routes every second, for a moment.
	if _, err := conn.ExecContext(ctx, `SET lock_timeout = '10s'`); err != nil {
		return fmt.Errorf("limit the wait for a lock: %w", err)
	}
	for _, table := range tables {
		if _, err := conn.ExecContext(ctx, `VACUUM (FULL) `+table); err != nil {
			return fmt.Errorf("write table %s anew: %w", table, err)
		}
	}
	return nil
}
