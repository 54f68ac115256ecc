//go:build linux || darwin

package process

import (
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// file is what a program's file looks like from outside.
type file struct {
	path                    string
	exists, dir, executable bool
	empty, text             bool
	script                  bool   // begins with #!
	interpreter             string // of a script or of a dynamically linked program
	interpreterRuns         bool
	format                  string // what it was built for, when that is not this machine
}

// look inspects a file after a start has failed; it never fails itself.
func look(path string) file {
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
	head := make([]byte, 512)
	n, _ := io.ReadFull(h, head) // short files are fine
	f.read(head[:n])
	if f.format == "" && bytes.HasPrefix(head, []byte(elf.ELFMAG)) {
		f.interpreter = loader(h)
	}
	f.interpreterRuns = f.interpreter != "" && unix.Access(f.interpreter, unix.X_OK) == nil
	return f
}

// read judges the first bytes of a file.
func (f *file) read(head []byte) {
	switch {
	case len(head) == 0:
		f.empty = true
	case bytes.HasPrefix(head, []byte("#!")):
		f.script, f.text = true, true
		line, _, _ := bytes.Cut(head[2:], []byte("\n"))
		words := strings.FieldsFunc(string(line), func(r rune) bool { return r == ' ' || r == '\t' })
		if len(words) > 0 {
			f.interpreter = words[0]
		}
	case bytes.HasPrefix(head, []byte(elf.ELFMAG)):
		f.format = elfFormat(head)
	case bytes.HasPrefix(head, []byte("MZ")):
		f.format = "a Windows program"
	case len(head) >= 4 && isMachO([4]byte(head)):
		f.format = "a macOS program"
	case bytes.HasPrefix(head, []byte("\xef\xbb\xbf#!")):
		f.format = "a script with a byte order mark before its #! line, which must be removed"
	default:
		f.text = !bytes.ContainsRune(head, 0)
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

// machines gives the ELF numbers of the architectures that Go knows.
var machines = map[string]elf.Machine{
	"386": elf.EM_386, "amd64": elf.EM_X86_64, "arm": elf.EM_ARM, "arm64": elf.EM_AARCH64,
	"loong64": elf.EM_LOONGARCH, "mips": elf.EM_MIPS, "mips64": elf.EM_MIPS, "mips64le": elf.EM_MIPS,
	"mipsle": elf.EM_MIPS, "ppc64": elf.EM_PPC64, "ppc64le": elf.EM_PPC64, "riscv64": elf.EM_RISCV, "s390x": elf.EM_S390,
}

func elfFormat(head []byte) string {
	if len(head) < 20 {
		return "a cut-off ELF file"
	}
	m := elf.Machine(uint16(head[18]) | uint16(head[19])<<8)
	if head[elf.EI_DATA] == byte(elf.ELFDATA2MSB) {
		m = elf.Machine(uint16(head[18])<<8 | uint16(head[19]))
	}
	if runtime.GOOS == "linux" && m == machines[runtime.GOARCH] {
		return ""
	}
	name := strings.TrimPrefix(m.String(), "EM_")
	for arch, machine := range machines {
		if machine == m && !strings.HasPrefix(arch, "mips") && !strings.HasSuffix(arch, "le") {
			name = arch
		}
	}
	return fmt.Sprintf("a Linux program for %s", name)
}

// loader is the program interpreter that an ELF file asks for.
func loader(r io.ReaderAt) string {
	f, err := elf.NewFile(r)
	if err != nil {
		return ""
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP && p.Filesz < 4096 {
			name, err := io.ReadAll(p.Open())
			if err == nil {
				return strings.TrimRight(string(name), "\x00")
			}
		}
	}
	return ""
}

func thisMachine() string { return runtime.GOOS + "/" + runtime.GOARCH + " programs" }

// programsOn lists the names of executable files in directories.
func programsOn(dirs []string) (names []string) {
	const most = 20_000
	for _, dir := range dirs {
		entries, _ := os.ReadDir(dir) // a PATH may name what is not there
		for _, e := range entries {
			if len(names) < most && !e.IsDir() {
				names = append(names, e.Name())
			}
		}
	}
	return names
}

// nearest is the name closest to a mistyped one, or empty when none is close: at most two
// letters wrong, missing, extra or swapped, and less than half of the word.
func nearest(typed string, names []string) string {
	best, bestDistance := "", min(3, (len(typed)+1)/2)
	for _, name := range names {
		if d := len(name) - len(typed); d > 2 || d < -2 {
			continue
		}
		if d := distance(typed, name); d > 0 && (d < bestDistance) {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance counts the letters to change, insert, delete or swap with a neighbour between
// two words (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
