//go:build linux || darwin

package children

import "os"

// OpenNull opens /dev/null, or where there is none, as in many a chroot, an empty file without a
// name: to read from it is to be at its end.
func OpenNull() (*os.File, error) {
	f, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err == nil {
		return f, nil
	}
	if unnamed := unnamedFile(); unnamed != nil {
		return unnamed, nil
	}
	return nil, err
}
