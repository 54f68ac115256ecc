//go:build !linux

package faulttest

import "errors"

var errNoNamespaces = errors.New("no namespaces of our own")

func loopbackUp() error { return nil }

func again() (int, error) { return 0, errNoNamespaces }

func able() (abilities, []string) {
	return abilities{}, []string{"small disks and network namespaces are made on Linux only"}
}

func mountDisk(string, int64) (func() error, error) { return nil, errNoNamespaces }

type link struct{ here, there string }

func makeLink(int) (*link, error) { return nil, errNoNamespaces }

func (l *link) within(start func() error) error { return start() }

func (l *link) knowNeighbors() error { return errNoNamespaces }

func (l *link) lose(direction, bool) error { return errNoNamespaces }

func (l *link) set(string) error { return errNoNamespaces }

func (l *link) close() error { return nil }
