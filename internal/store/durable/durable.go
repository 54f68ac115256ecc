// Package durable waits until the disk has what was written.
package durable

import (
	"errors"
	"os"
)

// Dir makes the names in a directory durable: without it a new file may be gone after a
// power cut, whatever was done to its bytes.
func Dir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
