// Package machine boots a kernel in qemu with a file system that a test chose, all of it in
// memory: for tests that need the first process of a system, or a kernel with other
// controllers than the host's.
package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// scripts/setup puts the kernel there, and some of its modules.
const (
	kernel  = "/var/cache/stint-tests/vmlinuz"
	modules = "/var/cache/stint-tests/modules"
)

// ErrMissing says that this host cannot boot a machine.
var ErrMissing = errors.New("no machine can be booted here (scripts/setup fetches what it needs)")

// Machine is a way to boot one.
type Machine struct {
	Busybox string   // a static busybox for its file system
	Modules []string // the kernel's modules, in the order in which they can be loaded
	qemu    string
}

// Find looks for the programs and the kernel. The error is ErrMissing if one is not there.
func Find() (Machine, error) {
	if runtime.GOARCH != "amd64" {
		return Machine{}, fmt.Errorf("%w: the kernel is for amd64, not %s", ErrMissing, runtime.GOARCH)
	}
	qemu, err := exec.LookPath("qemu-system-x86_64")
	if err != nil {
		return Machine{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		return Machine{}, fmt.Errorf("%w: %w", ErrMissing, err)
	}
	m := Machine{Busybox: busybox, Modules: []string{modules + "/inet_diag.ko", modules + "/tcp_diag.ko"}, qemu: qemu}
	for _, file := range append([]string{kernel}, m.Modules...) {
		if _, err := os.Stat(file); err != nil {
			return Machine{}, fmt.Errorf("%w: %w", ErrMissing, err)
		}
	}
	return m, nil
}

// Boot starts the program init with the files in image, and returns what the machine
// printed until it powered off. The parameters are further ones of the kernel.
func (m Machine) Boot(ctx context.Context, image, init string, memoryMB int, parameters ...string) (console string, err error) {
	parameters = append([]string{"console=ttyS0", "quiet", "panic=-1", "no_timer_check", "rdinit=" + init, "random.trust_cpu=on"}, parameters...)
	cmd := exec.CommandContext(ctx, m.qemu, "-accel", "tcg", "-m", strconv.Itoa(memoryMB), "-nographic", "-no-reboot", "-nic", "none",
		"-kernel", kernel, "-initrd", image, "-append", strings.Join(parameters, " "))
	out, err := cmd.CombinedOutput()
	console = strings.ReplaceAll(string(out), "\r", "")
	if err != nil {
		return console, fmt.Errorf("run the machine: %w", err)
	}
	return console, nil
}

// File is a file, directory or symbolic link of a machine; its owner is root.
type File struct {
	Mode uint32 // type and permissions, as in stat(2)
	Data string // of a link, where it leads
}

// Types of files.
const (
	Regular   = 0o100000
	Directory = 0o040000
	Link      = 0o120000
)

// Program is a file that can be executed.
func Program(data []byte) File { return File{Regular | 0o755, string(data)} }

// Text is a file that everybody can read.
func Text(text string) File { return File{Regular | 0o644, text} }

// WriteImage writes files, by their paths from the root, as an archive that the kernel
// unpacks ("newc", the kernel's Documentation/driver-api/early-userspace/buffer-format.rst).
// Directories on the way to them need not be named.
func WriteImage(to string, files map[string]File) error {
	all := maps.Clone(files)
	for name := range files {
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			if _, there := all[dir]; !there {
				all[dir] = File{Mode: Directory | 0o755}
			}
		}
	}
	var image bytes.Buffer
	for i, name := range slices.Sorted(maps.Keys(all)) { // a directory before what is in it
		add(&image, i+1, name, all[name])
	}
	add(&image, 0, "TRAILER!!!", File{})
	return os.WriteFile(to, image.Bytes(), 0o600)
}

func add(image *bytes.Buffer, inode int, name string, f File) {
	fmt.Fprintf(image, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%s\x00",
		inode, f.Mode, 0, 0, 1, 0, len(f.Data), 0, 0, 0, 0, len(name)+1, 0, name)
	pad(image)
	image.WriteString(f.Data)
	pad(image)
}

func pad(b *bytes.Buffer) {
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
}
