package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"

	"stint.dev/stint/internal/outbox"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/secretkey"
	"stint.dev/stint/internal/store/troubled"
	"stint.dev/stint/job/api"
)

// secrets holds the keys for the secrets in the database.
type secrets struct {
	file     string // empty: this process neither encrypts nor decrypts
	mu       sync.Mutex
	keys     secretkey.Keys
	fileInfo os.FileInfo // the file when it was read; nil for never
	bad      error       // of the last try to read it
}

// keysFor returns the keys. If the one with this id is not among them, it reads the file again, because
// another server may have added it.
func (s *secrets) keysFor(id string) secretkey.Keys {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, found := s.keys.Find(id); found || s.file == "" {
		return s.keys
	}
	info, err := os.Stat(s.file)
	if err != nil || s.fileInfo != nil && os.SameFile(info, s.fileInfo) && info.ModTime().Equal(s.fileInfo.ModTime()) && info.Size() == s.fileInfo.Size() {
		return s.keys
	}
	keys, err := secretkey.Read(s.file)
	if s.bad = err; err == nil { // otherwise the keys stay
		s.keys, s.fileInfo = keys, info
	}
	return s.keys
}

// decrypt returns the plaintext of an encrypted text of a row.
func (s *secrets) decrypt(text, row string) ([]byte, error) {
	id, _ := secretkey.Encrypted(text)
	return s.keysFor(id).Decrypt(text, row)
}

// routeSecrets are the parts of a route that give access to its receiver.
type routeSecrets struct {
	URL    string `json:"url"`
	Secret string `json:"secret,omitempty"`
}

// routeRow returns the name of the row of a route that its secrets are bound to.
func routeRow(name string) string { return "routes/" + name }

// encryptRoute splits a route into a readable document and encrypted secrets.
func encryptRoute(k secretkey.Key, r api.Route) (doc, secret string, err error) {
	hidden, err := json.Marshal(routeSecrets{URL: r.URL, Secret: r.Secret})
	if err != nil {
		return "", "", fmt.Errorf("encode the secrets of route %s: %w", r.Name, err)
	}
	name := r.Name
	r.URL, r.Secret, r.Error = "", "", ""
	open, err := json.Marshal(r)
	if err != nil {
		return "", "", fmt.Errorf("encode route %s: %w", name, err)
	}
	return string(open), k.Encrypt(hidden, routeRow(name)), nil
}

// decryptRoute sets the secrets of a route. Those that an older version stored are not encrypted.
func decryptRoute(r *api.Route, secret string, decrypt func(text, row string) ([]byte, error)) error {
	if _, encrypted := secretkey.Encrypted(secret); !encrypted {
		r.Secret = secret
		return nil
	}
	plain, err := decrypt(secret, routeRow(r.Name))
	if err != nil {
		return err
	}
	var hidden routeSecrets
	if err := json.Unmarshal(plain, &hidden); err != nil {
		return secretkey.ErrDamaged
	}
	r.URL, r.Secret = hidden.URL, hidden.Secret
	return nil
}

// routeError returns why the secrets of a route cannot be used, and what to do.
func (s *Outbox) routeError(name string, err error) error {
	var missing *secretkey.MissingKeyError
	if errors.As(err, &missing) {
		return fmt.Errorf("the secrets of route %s are encrypted with key %s, which is not in %s: add that key to the file, or set the route again", name, missing.ID, s.secrets.place())
	}
	return fmt.Errorf("the secrets of route %s cannot be decrypted: %w; set the route again", name, err)
}

// lack reports whether a key is not among those that are held.
func (s *secrets) lacks(id string) bool {
	_, found := s.keysFor(id).Find(id)
	return !found
}

// place returns the name of the file, and why it cannot be read.
func (s *secrets) place() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.file == "":
		return "a secret key file"
	case s.bad != nil:
		return fmt.Sprintf("%s (%v)", s.file, s.bad)
	}
	return s.file
}

// usedKey returns the id of the key that the secrets in the database are encrypted with; empty if there
// is none yet.
func usedKey(ctx context.Context, from db.RowQuerier, lock string) (string, error) {
	var id string
	if err := from.QueryRowContext(ctx, `SELECT COALESCE(secret_key, '') FROM installation`+lock).Scan(&id); err != nil {
		return "", fmt.Errorf("read which key secrets are encrypted with: %w", err)
	}
	return id, nil
}

// keyToEncrypt returns the key with which all servers on the database encrypt.
func (s *Outbox) keyToEncrypt(ctx context.Context, t *db.Tx) (secretkey.Key, error) {
	used, err := usedKey(ctx, t, t.Dialect.Lock)
	if err != nil {
		return secretkey.Key{}, err
	}
	keys := s.secrets.keysFor(used)
	if used == "" && len(keys) > 0 {
		return keys[0], recordKey(ctx, t, keys[0], false)
	}
	k, found := keys.Find(used)
	if !found {
		return k, s.lacksKey(used)
	}
	return k, nil
}

// recordKey records which key all servers encrypt with. remains: secrets that were stored in
// another way may still be in deleted rows.
func recordKey(ctx context.Context, t *db.Tx, k secretkey.Key, remains bool) error {
	_, err := t.ExecContext(ctx, `UPDATE installation SET secret_key = $1`, k.ID())
	if err == nil && remains {
		_, err = t.ExecContext(ctx, `UPDATE installation SET secret_remains = 1`)
	}
	if err != nil {
		return fmt.Errorf("record which key secrets are encrypted with: %w", err)
	}
	return nil
}

// lacksKey returns the error of a server that has no key to encrypt and decrypt.
func (s *Outbox) lacksKey(used string) error {
	if used == "" {
		return &outbox.SecretKeyError{Why: fmt.Sprintf("there is no key to encrypt secrets of notification routes with, because %s could not be made: "+
			"give a file that the server can write with --secret-key-file, and start it again", s.secrets.place())}
	}
	return &outbox.SecretKeyError{Why: fmt.Sprintf("secrets of notification routes are encrypted with key %s, which is not in %s on this host: "+
		"copy the file of the server that made it; if it is lost, stop the server, run stint server rotate-key, and set the routes again", used, s.secrets.place())}
}

// CheckKey records whether this server lacks the key with which others encrypt.
func (s *Outbox) CheckKey(ctx context.Context) error {
	if s.secrets.file == "" {
		return nil
	}
	used, err := usedKey(ctx, s.Reader, "")
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	keys := s.secrets.keysFor(used)
	if _, found := keys.Find(used); found || used == "" && len(keys) > 0 {
		s.ClearFailure(ctx, troubled.SecretKey, host)
	} else {
		s.RecordFailure(ctx, troubled.SecretKey, host, s.lacksKey(used))
	}
	return nil
}

// readKeys reads the key file. It creates a missing one, unless another server may have it.
func (s *Outbox) readKeys(used string, alone bool) (keys secretkey.Keys, made bool, err error) {
	keys, err = secretkey.Read(s.secrets.file)
	if !errors.Is(err, fs.ErrNotExist) || used != "" && !alone {
		if errors.Is(err, fs.ErrNotExist) {
			err = nil // another server may have it
		}
		return keys, false, err
	}
	keys, made, err = secretkey.Make(s.secrets.file)
	switch {
	case err != nil:
		s.Log.Error("secrets of notification routes cannot be encrypted", "error", err)
		return nil, made, nil
	case made && used != "":
		s.Log.Error("the key of notification routes is gone: a new one was made; put the old one into the file too, or set the routes again",
			"file", s.secrets.file, "missing", used, "key", keys[0].ID())
	case made:
		s.Log.Info("made the key that secrets of notification routes are encrypted with; keep a copy apart from backups", "file", s.secrets.file, "key", keys[0].ID())
	}
	return keys, made, nil
}
