package journal

import (
	"crypto/sha256"
	"encoding"
	"encoding/hex"
	"fmt"
	"hash"
)

// Digester computes a journal's digest: SHA-256 over the header and the frame of every
// record. A frame holds the checksum of its payload, so the digest covers each byte's
// place and each payload through its CRC-32C, at the cost of 17 bytes a record instead of
// the whole log.
type Digester struct{ h hash.Hash }

// NewDigester starts a digest at the beginning of a journal.
func NewDigester() *Digester { return &Digester{sha256.New()} }

// Header adds the journal's header.
func (d *Digester) Header(header []byte) { d.h.Write(header[:HeaderSize]) }

// Record adds a whole encoded record, of which it reads the frame.
func (d *Digester) Record(encoded []byte) { d.h.Write(encoded[:FrameSize]) }

// Sum returns the digest so far, in hexadecimal. Adding may go on.
func (d *Digester) Sum() string { return hex.EncodeToString(d.h.Sum(nil)) }

// MarshalBinary saves the state, so that a server can go on after a restart.
func (d *Digester) MarshalBinary() ([]byte, error) {
	return d.h.(encoding.BinaryMarshaler).MarshalBinary()
}

// UnmarshalBinary restores a saved state.
func (d *Digester) UnmarshalBinary(state []byte) error {
	d.h = sha256.New()
	if err := d.h.(encoding.BinaryUnmarshaler).UnmarshalBinary(state); err != nil {
		return fmt.Errorf("digest state: %w", err)
	}
	return nil
}
