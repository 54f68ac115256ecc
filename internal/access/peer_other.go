//go:build !linux

package access

import "net/netip"

// socketOwner has no answer here: nobody is trusted without --trust-local.
func socketOwner(_, _ netip.AddrPort) (uid int, err error) { return 0, errNoAnswer }
