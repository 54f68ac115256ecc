// Package secretkey encrypts secrets in a database. The keys are in a file outside the database, so that neither
// the database nor a backup of it is enough to read the secrets.
package secretkey

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

const (
	keyBytes = 32
	// method is the prefix of every encrypted text: AES-256 in Galois counter mode with a random nonce.
	method = "aes256gcm"
	// idLength is the length of a key's id in hexadecimal digits.
	idLength = 16
)

// Key encrypts with one key. The zero value cannot be used.
type Key struct {
	id   string
	aead cipher.AEAD
}

// Keys are the keys of one file. The first is the newest.
type Keys []Key

// newKey makes a key of 32 secret bytes.
func newKey(secret []byte) (Key, error) {
	block, err := aes.NewCipher(secret)
	if err != nil {
		return Key{}, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return Key{}, err
	}
	sum := sha256.Sum256(append([]byte("stint secret key id\n"), secret...))
	return Key{id: hex.EncodeToString(sum[:])[:idLength], aead: aead}, nil
}

// ID returns the id of the key. It is not secret: nothing about the key follows from it.
func (k Key) ID() string { return k.id }

// Encrypt returns a text that only this key decrypts, and only for the same row. row names the table and row in
// which the text is stored, so that a text that is copied to another row cannot be decrypted.
func (k Key) Encrypt(plain []byte, row string) string {
	sealed := k.aead.Seal(nil, nil, plain, bound(k.id, row))
	return method + ":" + k.id + ":" + base64.RawURLEncoding.EncodeToString(sealed)
}

// bound returns the additional data that is authenticated with a text.
func bound(id, row string) []byte { return []byte(method + ":" + id + ":" + row) }

// Encrypted returns the id of the key that a text is encrypted with, and whether it is
// encrypted at all.
func Encrypted(text string) (id string, encrypted bool) {
	rest, encrypted := strings.CutPrefix(text, method+":")
	id, _, _ = strings.Cut(rest, ":")
	return id, encrypted
}

// MissingKeyError is the error of a text that is encrypted with none of the keys.
type MissingKeyError struct{ ID string }

func (e *MissingKeyError) Error() string { return "the key " + e.ID + " is missing" }

// ErrDamaged is the error of a text that was not encrypted for this row.
var ErrDamaged = errors.New("the encrypted text is damaged, or belongs to another row")

// Find returns the key with an id.
func (all Keys) Find(id string) (Key, bool) {
	for _, k := range all {
		if k.id == id {
			return k, true
		}
	}
	return Key{}, false
}

// Decrypt returns what was encrypted for a row with one of the keys. Its error is a
// *MissingKeyError or ErrDamaged.
func (all Keys) Decrypt(text, row string) ([]byte, error) {
	id, encrypted := Encrypted(text)
	if !encrypted {
		return nil, ErrDamaged
	}
	k, found := all.Find(id)
	if !found {
		if !isID(id) {
			return nil, ErrDamaged
		}
		return nil, &MissingKeyError{ID: id}
	}
	_, encoded, _ := strings.Cut(strings.TrimPrefix(text, method+":"), ":")
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || strings.ContainsAny(encoded, "\r\n") { // which the decoder skips
		return nil, ErrDamaged
	}
	plain, err := k.aead.Open(nil, nil, sealed, bound(id, row))
	if err != nil {
		return nil, ErrDamaged
	}
	return plain, nil
}

// isID reports whether a text has the form of a key's id.
func isID(id string) bool {
	_, err := hex.DecodeString(id)
	return err == nil && len(id) == idLength && id == strings.ToLower(id)
}

// parse reads the text of a key file: a key a line, 32 bytes in base64, and comments.
func parse(text string) (Keys, error) {
	var keys Keys
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		secret, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(secret) != keyBytes { // the line may hold a key: it is not shown
			return nil, fmt.Errorf("line %d is not a key, which is %d bytes in base64", n, keyBytes)
		}
		k, err := newKey(secret)
		if err != nil {
			return nil, err
		}
		if _, twice := keys.Find(k.id); !twice {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it holds no key")
	}
	return keys, nil
}
