package e2e

import (
	"os"
	"path/filepath"
	"testing"

	"stint.dev/stint/internal/faulttest/machine"
)

// sitePackages are what the page takes from the distribution, and what follows the page; in the machine there is no network to
// install them from.
const sitePackages = "systemd,systemd-sysv,procps,iproute2,nginx,openssl,curl,cron,ca-certificates,less,python3"

// A reader of docs/first-hour.md types every command of the page on a fresh host, which has nothing of Stint but the package files,
// and sees what the page says: testdata/follow.py.
func TestFirstHour(t *testing.T) {
	m := findMachine(t, "first-hour")
	files := debian(t, "bookworm", sitePackages)
	files["etc/hostname"] = machine.Text("box\n")
	files["etc/hosts"] = machine.Text("127.0.0.1 localhost box\n10.1.0.25 mail.example.org\n10.1.0.26 hooks.example.org\n")
	files["etc/systemd/system/default.target"] = machine.File{Mode: machine.Link | 0o777, Data: "/usr/lib/systemd/system/multi-user.target"}
	files["etc/systemd/system/follow.service"] = machine.Text("[Service]\nType=oneshot\nExecStart=/src/follow.sh\nTimeoutStartSec=infinity\n" +
		"StandardOutput=tty\nStandardError=tty\nTTYPath=/dev/ttyS0\n[Unit]\nAfter=multi-user.target\n")
	files["etc/systemd/system/multi-user.target.wants/follow.service"] = machine.File{Mode: machine.Link | 0o777, Data: "/etc/systemd/system/follow.service"}
	files["src/follow.sh"] = machine.Program([]byte("#!/bin/sh\n" +
		"chown www-data: /var/lib/nginx/*\n" +
		"ip link set lo up; ip addr add 10.1.0.25/32 dev lo; ip addr add 10.1.0.26/32 dev lo\n" +
		"python3 /src/follow.py /src/first-hour.md\nsystemctl poweroff -ff\n"))
	brought := map[string]string{"src/follow.py": "testdata/follow.py", "src/first-hour.md": "../../docs/first-hour.md"}
	packages, err := filepath.Glob(filepath.Join(os.Getenv("STINT_PACKAGES"), "*.deb"))
	if err != nil || len(packages) == 0 {
		t.Fatalf("STINT_PACKAGES names no directory with packages (make first-hour): %v", err)
	}
	for _, file := range packages {
		brought["root/"+filepath.Base(file)] = file
	}
	for name, path := range brought {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[name] = machine.Text(string(data))
	}
	t.Log(bootSystemd(t, m, writeImage(t, files), 3072))
}
