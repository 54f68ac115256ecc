//go:build linux || darwin

package process

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// headSize is how much of a file is read.
const headSize = 512

// isBinaryHead reports whether the first line of a file, as far as it is in head, has a NUL
// byte.
func isBinaryHead(head []byte) bool {
	line, _, _ := bytes.Cut(head, []byte("\n"))
	return bytes.ContainsRune(line, 0)
}

// file is what a program's file looks like from outside.
type file struct {
	path                    string
	exists, dir, executable bool
	script                  bool   // begins with #!
	interpreter             string // of a script or of a dynamically linked program
	interpreterRuns         bool
	format                  string // what it was built for, when that is not this machine
}

// inspect reads what the file of a program looks like; it never fails itself.
func inspect(path string) file {
	f := file{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return f
	}
	f.exists, f.dir = true, info.IsDir()
	f.executable = info.Mode()&0o111 != 0 && unix.Access(path, unix.X_OK) == nil
	if !info.Mode().IsRegular() {
		return f
	}
	h, err := os.Open(path)
	if err != nil {
		return f
	}
	defer h.Close()
	head := make([]byte, headSize)
	n, _ := io.ReadFull(h, head) // short files are fine
	f.read(head[:n])
	if f.format == "" && bytes.HasPrefix(head, elfMagic) {
		f.interpreter = loader(h, head[:n])
	}
	f.interpreterRuns = f.interpreter != "" && unix.Access(f.interpreter, unix.X_OK) == nil
	return f
}

// readAhead reads the beginning of a program and of the interpreter or loader that it names, before
// a child is made for it: a file system that does not answer holds up one thread then. While a
// child is being made, the runtime of Go cannot stop its threads, and all of them would wait
// with it. What cannot be read is the exec's to refuse.
func readAhead(path, dir string) {
	if f := inspect(inDir(dir, path)); f.interpreter != "" {
		inspect(inDir(dir, f.interpreter))
	}
}

// read judges the first bytes of a file.
func (f *file) read(head []byte) {
	switch {
	case bytes.HasPrefix(head, []byte("#!")):
		f.script = true
		line, _, _ := bytes.Cut(head[2:], []byte("\n"))
		words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) > 0 {
			f.interpreter = words[0]
		}
	case bytes.HasPrefix(head, elfMagic):
		f.format = elfFormat(head)
	case bytes.HasPrefix(head, []byte("MZ")):
		f.format = "a Windows program"
	case len(head) >= 4 && isMachO([4]byte(head)):
		f.format = "a macOS program"
	}
	if runtime.GOOS == "darwin" && f.format == "a macOS program" {
		f.format = "a macOS program for another processor"
	}
}

func isMachO(magic [4]byte) bool {
	switch magic {
	case [4]byte{0xcf, 0xfa, 0xed, 0xfe}, [4]byte{0xce, 0xfa, 0xed, 0xfe},
		[4]byte{0xfe, 0xed, 0xfa, 0xcf}, [4]byte{0xfe, 0xed, 0xfa, 0xce}, [4]byte{0xca, 0xfe, 0xba, 0xbe}:
		return true
	}
	return false
}

var elfMagic = []byte("\x7fELF")

// machines gives the ELF machine numbers of the architectures that Go knows.
var machines = map[string]uint16{
	"386": 3, "mips": 8, "ppc64": 21, "s390x": 22, "arm": 40, "amd64": 62, "arm64": 183, "riscv64": 243, "loong64": 258,
}

func elfFormat(head []byte) string {
	if len(head) < 20 {
		return "a cut-off ELF file"
	}
	m := binary.LittleEndian.Uint16(head[18:])
	if head[5] == 2 {
		m = binary.BigEndian.Uint16(head[18:])
	}
	for arch, machine := range machines {
		if machine != m {
			continue
		}
		own := strings.TrimSuffix(runtime.GOARCH, "le")
		if runtime.GOOS == "linux" && (own == arch || own == "mips64" && arch == "mips") {
			return ""
		}
		return "a Linux program for " + arch
	}
	return fmt.Sprintf("a Linux program for another processor (ELF machine %d)", m)
}

// loader returns the program interpreter (PT_INTERP) that an ELF file of this machine asks for.
// debug/elf would do it, and bring the readers of debug information into the agent.
func loader(r io.ReaderAt, head []byte) string {
	if len(head) < 64 {
		return ""
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[5] == 2 {
		order = binary.BigEndian
	}
	var table, entry, count, offsetAt, sizeAt int64
	if head[4] == 2 { // 64 bits
		table, entry, count = int64(order.Uint64(head[32:])), int64(order.Uint16(head[54:])), int64(order.Uint16(head[56:]))
		offsetAt, sizeAt = 8, 32
	} else {
		table, entry, count = int64(order.Uint32(head[28:])), int64(order.Uint16(head[42:])), int64(order.Uint16(head[44:]))
		offsetAt, sizeAt = 4, 16
	}
	word := func(b []byte) int64 {
		if head[4] == 2 {
			return int64(order.Uint64(b))
		}
		return int64(order.Uint32(b))
	}
	header := make([]byte, 56)
	for i := range count {
		if n, _ := r.ReadAt(header, table+i*entry); n < 32 || table < 0 {
			return ""
		}
		const interp, longest = 3, 4096
		size := word(header[sizeAt:])
		if order.Uint32(header) != interp || size <= 0 || size > longest {
			continue
		}
		name := make([]byte, size)
		if n, _ := r.ReadAt(name, word(header[offsetAt:])); n == len(name) {
			return strings.TrimRight(string(name), "\x00")
		}
	}
	return ""
}

func thisMachine() string { return runtime.GOOS + "/" + runtime.GOARCH + " programs" }

// programsOn lists the names of the files on the PATH in env, seen from dir.
func programsOn(dir string, env []string) (names []string) {
	const most = 20_000
	for _, d := range pathDirs(env) {
		entries, _ := os.ReadDir(inDir(dir, cmp.Or(d, "."))) // a PATH may name what is not there
		for _, e := range entries {
			if len(names) < most && !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	return names
}
