package e2e

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// image builds the server's image and returns its unpacked file system and its configuration.
func image(t *testing.T) (root string, config imageConfig) {
	t.Helper()
	dir := t.TempDir()
	archive := filepath.Join(dir, "image.tar")
	build := exec.Command("../../deploy/build-image", "test")
	build.Env = append(os.Environ(), "OCI="+archive, "STINT="+stint)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the image: %v\n%s", err, out)
	}
	unpack := func(from, to string) {
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("tar", "-C", to, "-xpf", from).CombinedOutput(); err != nil {
			t.Fatalf("unpack %s: %v\n%s", from, err, out)
		}
	}
	unpack(archive, filepath.Join(dir, "oci"))
	read := func(name string, v any) {
		data, err := os.ReadFile(filepath.Join(dir, "oci", name))
		if err == nil {
			err = json.Unmarshal(data, v)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	blob := func(digest string) string { return "blobs/sha256/" + strings.TrimPrefix(digest, "sha256:") }
	var index struct{ Manifests []struct{ Digest string } }
	read("index.json", &index)
	var manifest struct {
		Config struct{ Digest string }
		Layers []struct{ Digest string }
	}
	read(blob(index.Manifests[0].Digest), &manifest)
	read(blob(manifest.Config.Digest), &config)
	root = filepath.Join(dir, "root")
	unpack(filepath.Join(dir, "oci", blob(manifest.Layers[0].Digest)), root)
	return root, config
}

// imageConfig is what a container engine reads of an image.
type imageConfig struct {
	Config struct {
		User            string
		Env             []string
		Entrypoint, Cmd []string
		Healthcheck     struct{ Test []string }
	}
}

// The image holds everything that the documentation promises of the server: time zones, a
// command for health checks, a user and a group, the licences.
func TestImage(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can change into the file system of the image")
	}
	root, config := image(t)
	c := config.Config
	if c.User != "65532:65532" || len(c.Healthcheck.Test) < 2 || c.Healthcheck.Test[0] != "CMD" {
		t.Fatalf("the image's configuration: %+v", c)
	}
	for _, file := range []string{"etc/passwd", "etc/group", "usr/share/doc/stint/LICENSE", "usr/share/doc/stint/third-party/modernc.org/sqlite/LICENSE", "usr/share/doc/stint/third-party/go/LICENSE"} {
		if info, err := os.Stat(filepath.Join(root, file)); err != nil || info.Size() == 0 || info.Mode().Perm()&0o004 == 0 {
			t.Errorf("%s: %v, %v", file, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "usr/share/zoneinfo")); err == nil {
		t.Fatal("the image has zone data of its own: this test shows nothing of the program's")
	}
	addr := freeAddress(t)
	inside := func(args ...string) *exec.Cmd {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = "/"
		cmd.Env = append([]string{"STINT_LISTEN=" + addr}, c.Env[1:]...)
		cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}}
		return cmd
	}
	if !strings.HasPrefix(c.Env[0], "STINT_LISTEN=") {
		t.Fatalf("the first variable is not the address: %v", c.Env)
	}
	health := func() result { return finish(t, inside(c.Healthcheck.Test[1:]...)) }
	if r := health(); r.code != 1 || !strings.Contains(r.stderr, addr) {
		t.Errorf("the health check before the server listens: %+v", r)
	}
	server := inside(append(c.Entrypoint, c.Cmd...)...)
	printed := &bytes.Buffer{}
	server.Stderr = printed
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = server.Process.Signal(syscall.SIGTERM) // Wait says whether it ended
		if err := server.Wait(); err != nil {
			t.Errorf("the server ended with %v:\n%s", err, printed)
		}
	}()
	eventually(t, "the health check passes", func() bool { return health().code == 0 })
	set := newHost(t).run("notify", "set", "mail", "--server", "http://"+addr, "--url", "smtp://mail.example.org/?from=a@example.org&to=b@example.org",
		"--quiet-cron", "0 22 * * *", "--quiet-for", "9h", "--quiet-zone", "Europe/Berlin")
	if set.code != 0 {
		t.Errorf("a zone in the image: %+v", set)
	}
}

// The health check finds a server that listens on all addresses, and one that speaks TLS.
func TestReady(t *testing.T) {
	cert, key := certificate(t, t.TempDir(), "server")
	for name, extra := range map[string][]string{"http": nil, "https": {"STINT_TLS_CERT=" + cert, "STINT_TLS_KEY=" + key}} {
		t.Run(name, func(t *testing.T) {
			_, port, err := net.SplitHostPort(freeAddress(t))
			if err != nil {
				t.Fatal(err)
			}
			h := newHost(t)
			with := func(args ...string) *exec.Cmd {
				cmd := h.command(stint, args...)
				cmd.Env = append(cmd.Env, append([]string{"STINT_LISTEN=0.0.0.0:" + port, "STINT_DATA=" + filepath.Join(h.state, "data")}, extra...)...)
				return cmd
			}
			server := with("server")
			if err := server.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				_ = server.Process.Signal(syscall.SIGTERM) // Wait says whether it ended
				if err := server.Wait(); err != nil {
					t.Error(err)
				}
			}()
			eventually(t, "the server is ready", func() bool { return finish(t, with("health")).code == 0 })
		})
	}
}
