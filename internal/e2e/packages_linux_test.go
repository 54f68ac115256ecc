package e2e

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"stint.dev/stint/internal/faulttest/machine"
)

// The packages under a running systemd: installed, started, upgraded, removed and purged, with jobs, a worker and a certificate
// that is renewed. The script names each check. STINT_PACKAGES is a directory with the .deb files of 0.0.1 and 0.0.2.
func TestPackagesUnderSystemd(t *testing.T) {
	m := findMachine(t, "packages")
	packages, err := filepath.Glob(filepath.Join(os.Getenv("STINT_PACKAGES"), "*_amd64.deb"))
	if err != nil || len(packages) != 4 {
		t.Fatalf("STINT_PACKAGES has not two packages in two versions: %v, %v", packages, err)
	}
	files := debian(t, "bookworm", "systemd,systemd-sysv,procps,man-db")
	maps.Copy(files, checkout(t, m, "packages.sh"))
	delete(files, "src/bin/stint") // only what is in the packages
	delete(files, "src/bin/stint-agent")
	for _, file := range packages {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		files["dist/"+filepath.Base(file)] = machine.Text(string(data))
	}
	bootSystemd(t, m, writeImage(t, files), 3072)
}
