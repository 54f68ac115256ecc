// Package durable syncs files and directories to disk.
package durable

import (
	"errors"
	"os"
)

// Dir makes the names in a directory durable. Without it a new file may be lost at a power cut, even if its bytes
// are durable.
func Dir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
