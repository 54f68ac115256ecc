// Package owner records which agent holds a run, and on which host, as long as that agent lives.
package owner

import "strings"

// Host says on which host, since which boot, a journal's agent ran. A state directory may be
// shared by several hosts, whose locks need not reach each other.
type Host struct {
	Name   string `json:"name,omitempty"`
	BootID string `json:"boot_id,omitempty"`
}

// Is reports whether two are the same host. Equal boot ids are the same kernel, whatever its
// containers are called; after a reboot the name is what is left. What is not known of
// either is no reason to take them for different hosts.
func (h Host) Is(o Host) bool {
	switch {
	case h == (Host{}) || o == (Host{}):
		return true
	case h.BootID != "" && h.BootID == o.BootID:
		return true
	}
	return h.named() && strings.EqualFold(h.Name, o.Name)
}

// RebootedSince reports whether this is the host of before, after a reboot.
func (h Host) RebootedSince(before Host) bool {
	return h.named() && strings.EqualFold(h.Name, before.Name) &&
		h.BootID != "" && before.BootID != "" && h.BootID != before.BootID
}

// named reports whether the name distinguishes hosts.
func (h Host) named() bool {
	return h.Name != "" && h.Name != "unknown" && !strings.EqualFold(h.Name, "localhost") && !strings.HasPrefix(strings.ToLower(h.Name), "localhost.")
}
