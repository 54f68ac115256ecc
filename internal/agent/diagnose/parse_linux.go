package diagnose

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"sort"
	"strconv"
	"strings"
)

// call is a system call in which a thread is.
type call struct {
	name string
	fd   int // its first argument, where that is a descriptor; else -1
}

// parseCall reads /proc/PID/syscall: "running", or the call's number and its arguments.
func parseCall(text string) call {
	words := strings.Fields(text)
	none := call{fd: -1}
	if len(words) < 2 {
		return none
	}
	number, err := strconv.Atoi(words[0])
	if err != nil || number < 0 {
		return none
	}
	known, ok := calls()[number]
	if !ok {
		return call{name: "system call " + strconv.Itoa(number), fd: -1}
	}
	c := call{name: known.name, fd: -1}
	if arg, err := strconv.ParseUint(strings.TrimPrefix(words[1], "0x"), 16, 64); err == nil && known.onFD && int32(uint32(arg)) >= 0 {
		c.fd = int(uint32(arg))
	}
	return c
}

var tcpStates = []string{
	"", "established", "connecting (SYN sent)", "connecting (SYN received)", "closing (FIN wait 1)", "closing (FIN wait 2)",
	"time wait", "closed", "closed by the other side", "closing (last ACK)", "listening", "closing",
}

// readSockets adds the sockets of one of the tables in /proc/net to those known, by inode.
func readSockets(known map[uint64]string, kind, table string) {
	for line := range strings.Lines(table) {
		words := strings.Fields(line)
		var inode, text string
		switch {
		case kind == "unix" && len(words) >= 7:
			inode, text = words[6], "unix socket"
			if len(words) > 7 {
				text += " " + words[7]
			}
		case kind != "unix" && len(words) >= 10:
			inode, text = words[9], internetSocket(kind, words)
		}
		if n, err := strconv.ParseUint(inode, 10, 64); err == nil && n > 0 && text != "" {
			known[n] = text
		}
	}
}

func internetSocket(kind string, words []string) string {
	local, ok1 := address(words[1])
	remote, ok2 := address(words[2])
	state, err := strconv.ParseUint(words[3], 16, 8)
	if !ok1 || !ok2 || err != nil {
		return ""
	}
	kind = strings.TrimSuffix(kind, "6")
	text := kind + " " + local.String()
	if remote.Port() != 0 {
		text += " to " + remote.String()
	}
	if kind == "tcp" && int(state) < len(tcpStates) {
		text += " " + tcpStates[state]
	}
	if queues := strings.Split(words[4], ":"); len(queues) == 2 {
		if unsent, err := strconv.ParseUint(queues[0], 16, 64); err == nil && unsent > 0 && kind == "tcp" && state != 10 {
			text += fmt.Sprintf(", %d bytes not taken by the other side", unsent)
		}
	}
	return text
}

// address reads an address as the kernel prints it: words of 32 bits in the order of the
// machine, and the port.
func address(s string) (netip.AddrPort, bool) {
	host, port, _ := strings.Cut(s, ":")
	p, err := strconv.ParseUint(port, 16, 16)
	if err != nil || len(host) != 8 && len(host) != 32 {
		return netip.AddrPort{}, false
	}
	var b []byte
	for i := 0; i < len(host); i += 8 {
		word, err := strconv.ParseUint(host[i:i+8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		b = binary.NativeEndian.AppendUint32(b, uint32(word))
	}
	a, ok := netip.AddrFromSlice(b)
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), ok
}

// sorted parts what is open into sockets and files, in the order of descriptors. Pipes,
// terminals and what belongs to every process are left out.
func sorted(opens map[int]string) (sockets, files []string, more int) {
	fds := make([]int, 0, len(opens))
	for fd := range opens {
		fds = append(fds, fd)
	}
	sort.Ints(fds)
	for _, fd := range fds {
		target := opens[fd]
		switch {
		case strings.HasPrefix(target, "/dev/null"), strings.HasPrefix(target, "pipe:"), strings.HasPrefix(target, "anon_inode:"), strings.HasPrefix(target, "/dev/pts/"):
		case strings.HasPrefix(target, "/"):
			if len(files) < maxOpen {
				files = append(files, target)
			} else {
				more++
			}
		default:
			if len(sockets) < maxOpen {
				sockets = append(sockets, target)
			} else {
				more++
			}
		}
	}
	return sockets, files, more
}
